"""What people are shown of a key, worked out from the facts alone."""

from __future__ import annotations

from byokd.errors import OperatorError
from byokd.facts.change import KeyLine
from byokd.facts.key import ABSENT, Absent, Blind, Expiry, KeyRef, NeverLooked, ObservedKey, View, last_seen
from byokd.facts.ledger import Tier
from byokd.facts.snapshot import Reason, Snapshot
from byokd.store.times import expiry_seconds

FIRST_TIER = Tier.FRESH
FIRST_REASON = Reason.NEVER_LOOKED
FIRST_MESSAGE = "byokd has not looked at this key yet."
"""Of a key that was never decided about."""

LEFT_CONFIG = "The key left the config."
"""Why imports and orders of a key were cancelled when it did."""


def shown_state(view: View) -> str:
    """The KMS key state last seen, `NeverLooked`, or `Blind`."""
    match view:
        case ObservedKey():
            return view.state.value
        case Blind():
            return "Blind"
        case NeverLooked():
            return "NeverLooked"


def shown_role(view: View) -> str:
    """`primary` or `replica` for a multi-Region key, as last seen; else empty."""
    seen = last_seen(view)
    return "" if isinstance(seen, NeverLooked) else seen.role


def shown_expiry(snapshot: Snapshot) -> Expiry | Absent:
    """The expiry of the managed material; the last one seen where the material is gone or was never looked at.

    Of several materials, the earliest: the key lives only as long as all of them are there.
    """
    if snapshot.others:
        each = (_shown_expiry(snapshot.turned_to(place)) for place in snapshot.places)
        return min((expiry for expiry in each if not isinstance(expiry, Absent)), key=expiry_seconds, default=ABSENT)
    return _shown_expiry(snapshot)


def _shown_expiry(snapshot: Snapshot) -> Expiry | Absent:
    seen = last_seen(snapshot.view)
    if isinstance(seen, NeverLooked):
        return snapshot.ledger.last_expiry
    expiry = seen.expiry_of(snapshot.ledger.material)
    return snapshot.ledger.last_expiry if isinstance(expiry, Absent) else expiry


def cursor(line: KeyLine) -> str:
    """Where the list of keys goes on after this line: the `after` of the next page."""
    return f"{expiry_seconds(line.expiry)}~{line.ref}"


def read_cursor(text: str) -> tuple[int, KeyRef]:
    """The expiry as it is stored, and the ref, of the line a cursor was made of.

    Raises: OperatorError for text that is no cursor.
    """
    expiry, _, ref = text.partition("~")
    try:
        return int(expiry), KeyRef(ref)
    except ValueError:
        raise OperatorError(f"{text!r} is not a place in the list of keys.") from None


def meanings(name: str) -> tuple[str, ...]:
    """The names under which a key may be on record when a person says `name`; the first is what was said.

    An alias may come without its `alias/`, and as an ARN, which is then turned into the key's ref.
    """
    parts = name.split(":", 5)
    if len(parts) == 6 and parts[5].startswith("alias/"):
        return name, f"{parts[4]}/{parts[3]}/{parts[5]}"
    return name, f"alias/{name}"
