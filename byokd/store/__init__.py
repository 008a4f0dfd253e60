"""The durable memory: a SQLite database through SQLAlchemy Core, behind the `Store` port.

Theory of operation. A thread hop costs more than the SQL it carries, and a commit more than both, so neither is paid
per call. Each connection lives in a thread of its own (`link`), and what callers ask of it is gathered (`batches`):
whoever comes while the connection is at work waits, and the next visit takes all of them along::

    save ─┐                                              due       ─┐
    wake ─┼─▶ writer: one BEGIN … COMMIT for all         snapshots ─┼─▶ reader: one BEGIN … COMMIT for all
    save ─┘                                              snapshots ─┘
                                                         list_keys ───▶ reader for people, apart from the engine's

So the load sets the size of the groups: alone, a write is on disk after one commit; fifty at once share one.

A read that begins after a write returned sees that write: SQLite's WAL shows each read transaction the newest commit.
What must never happen here: a write returning before it is on disk; half a change; material in any column; SQL that
only SQLite understands outside `sqlite` (and outside the dialect's own upsert, chosen in `tables.metadata`).

The parts, in the order of the data: `sqlite` opens (lock in `owner`, migrations in `schema`), `store` is the port,
`changes` and `writes` make units of writing, `writer` commits them; `fleet`, `lanes`, `ordering` and `pruning` are
whole transactions; `snapshots`, `agenda` and `lists` read; `tables` holds the schema and each row's codec, `codec` and
`times` the forms of values; `faults` maps foreign errors. `views` is pure, for whoever shows keys to people.
"""

from byokd.store.sqlite import Limits, open_reader, open_store
from byokd.store.store import SqlStore

__all__ = ["Limits", "SqlStore", "open_reader", "open_store"]
