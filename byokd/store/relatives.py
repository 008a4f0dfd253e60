"""The other keys of the multi-Region keys that are being worked on, found by the id that they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, exists, select

from byokd.facts.key import KeyArn, KeyRef, LaneId
from byokd.facts.ledger import OrderKind
from byokd.facts.relative import Relative, identity
from byokd.store.codec import read_view
from byokd.store.tables import orders as ordered
from byokd.store.tables.keys import MANAGED, keys
from byokd.store.tables.orders import orders

_IDS: Final[BindParameter[Any]] = bindparam("key_ids", expanding=True)
_ROTATION: Final = exists(
    select(orders.c.id).where(orders.c.ref == keys.c.ref, ordered.OPEN, orders.c.kind == OrderKind.ROTATE.value)
)

RELATIVES: Final = (
    select(keys.c.ref, keys.c.lane, keys.c.name, keys.c.arn, keys.c.seen, keys.c.message, _ROTATION.label("rotates"))
    .where(keys.c.key_id.in_(_IDS), MANAGED)
    .order_by(keys.c.ref)
)

Known = dict[tuple[str, ...], list[Relative]]


def read_families(connection: Connection, arns: Iterable[KeyArn | None]) -> Known:
    """The keys of the config that belong to these multi-Region keys, by `identity`; others cost no query."""
    wanted = {whole: arn for arn in arns if arn is not None and (whole := identity(arn))}
    known: defaultdict[tuple[str, ...], list[Relative]] = defaultdict(list)
    if wanted:
        key_ids = sorted({arn.rpartition("/")[2] for arn in wanted.values()})
        for row in connection.execute(RELATIVES, {"key_ids": key_ids}).all():
            relative = Relative(
                ref=KeyRef(row.ref),
                lane=LaneId(row.lane),
                name=row.name,
                arn=KeyArn(row.arn),
                view=read_view(row.seen),
                message=row.message,
                rotates=bool(row.rotates),
            )
            known[identity(relative.arn)].append(relative)
    return known


def others(known: Known, arn: KeyArn | None, ref: KeyRef) -> tuple[Relative, ...]:
    """The relatives of one key among those that were read."""
    if arn is None or not (whole := identity(arn)):
        return ()
    return tuple(each for each in known.get(whole, ()) if each.ref != ref)
