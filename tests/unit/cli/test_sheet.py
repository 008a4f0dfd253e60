"""The page of one key, as far as no transcript shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.cli.sheet import lines
from byokd.facts.key import ABSENT
from byokd.facts.ledger import OrderKind, Probe
from byokd.web.documents import key_sheet, stamp
from tests.kit.builders import DAY, desired, ledger, order, policy, snapshot
from tests.kit.clock import START

IMPORTED = START - 30 * DAY
PROBE = Probe(of=IMPORTED, at=IMPORTED + timedelta(seconds=1))
FAILED = replace(PROBE, failures=2, code="access_denied", message="Encrypt: AccessDeniedException")


@pytest.mark.parametrize(
    ("probe", "wanted", "told"),
    [
        (ABSENT, False, None),
        (ABSENT, True, "not tried yet: the key is used once after an import"),
        (PROBE, True, "29 d ago (2026-01-30T12:00:01Z): the key does what it is for"),
        (
            replace(PROBE, of=IMPORTED - DAY),
            True,
            "29 d ago (2026-01-30T12:00:01Z), of an earlier import: the key does what it is for",
        ),
        (
            FAILED,
            True,
            "failed 2 times, last 29 d ago (2026-01-30T12:00:01Z): Encrypt: AccessDeniedException",
        ),
    ],
)
def test_the_last_probe(probe: Any, wanted: bool, told: str | None) -> None:
    """What it came to, and when; nothing where nobody wants any."""
    key = key_sheet(
        snapshot(desired=desired(policy=policy(probe=wanted)), ledger=ledger(probe=probe)),
        ABSENT,
    )
    shown = {name: value.plain for name, value in lines(key, stamp(START))}
    assert shown.get("probe") == told


def test_an_order_that_loses_material_says_so() -> None:
    """In the words of the history, for as long as it is in force."""
    suspension = order(OrderKind.SUSPEND, lose=True)
    key = key_sheet(snapshot(ledger=ledger(open_orders=(suspension,))), ABSENT)
    shown = {name: value.plain for name, value in lines(key, stamp(START))}
    assert shown["order"].startswith("suspend with all its material by operator at ")
