"""The schema, one file per family of tables, each with the codec between its rows and the facts.

Conventions: times as in `byokd.store.times`; enums by their value; an absent text is NULL, unless it is part of a
uniqueness, where NULLs would all differ. Importing this package makes `METADATA` complete.
"""

from byokd.store.tables import conditions, history, imports, keys, leases, orders, takeovers
from byokd.store.tables.metadata import METADATA

__all__ = ["METADATA", "conditions", "history", "imports", "keys", "leases", "orders", "takeovers"]
