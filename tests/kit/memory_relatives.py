"""The relatives of a multi-Region key, of the store in dictionaries."""

from __future__ import annotations

from collections.abc import Iterable

from byokd.facts.key import Absent, KeyArn
from byokd.facts.ledger import Order, OrderKind, OrderState
from byokd.facts.relative import Relative, identity
from byokd.facts.snapshot import Snapshot


def relatives(others: Iterable[tuple[Snapshot, str, tuple[Order, ...]]], arn: KeyArn) -> tuple[Relative, ...]:
    """Those of the others that belong to the multi-Region key of this ARN, each with its message and all its orders."""
    if not identity(arn):
        return ()
    found = [
        Relative(
            ref=known.ref,
            lane=known.desired.lane,
            name=known.desired.name,
            arn=known.arn,
            view=known.view,
            message=message,
            rotates=any(each.state is OrderState.OPEN and each.kind is OrderKind.ROTATE for each in orders),
        )
        for known, message, orders in others
        if not isinstance(known.arn, Absent) and identity(known.arn) == identity(arn)
    ]
    return tuple(sorted(found, key=lambda each: each.ref))
