"""Accounts and Regions: their quotas as the config has them and as AWS has them.

In a third of the worlds lanes have quotas of every kind, by a stream of chance of their own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

NARROWED: Final = 1 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlan:
    """One account and Region."""

    account: str
    region: str
    per_second: float
    """Of GetParametersForImport, as the config says."""
    real_per_second: float
    """As AWS has it."""
    in_flight: int
    reserve: float
    latency_s: float
    burst: float = 1.0
    """Of GetParametersForImport and of ImportKeyMaterial where that is scarce, in the config and with AWS."""
    headroom: float = 1.0
    """How many times `per_second` the lane may find out to be allowed."""
    imports_per_second: float = 50.0
    """Of ImportKeyMaterial."""
    looks_per_second: float = 1000.0
    """Of DescribeKey."""

    @property
    def slowest(self) -> float:
        """Imports a second that its quotas let through."""
        return min(self.per_second, self.imports_per_second)

    @property
    def id(self) -> str:
        """`<account>/<region>`."""
        return f"{self.account}/{self.region}"


def lane(rng: random.Random, number: int) -> LanePlan:
    """The lane of this number, as every world has it."""
    per_second = rng.choice((0.25, 0.25, 0.5, 1.0))
    return LanePlan(
        account=f"{111122223333 + number}",
        region=rng.choice(("eu-central-1", "us-east-1")),
        per_second=per_second,
        real_per_second=per_second * rng.choice((1.0, 1.0, 4.0)),
        in_flight=rng.choice((2, 4, 16)),
        reserve=rng.choice((0.0, 0.2)),
        latency_s=rng.choice((0.01, 0.05, 0.3)),
    )


def narrowed(seed: int, lanes: tuple[LanePlan, ...]) -> tuple[LanePlan, ...]:
    """These lanes, in some worlds with bursts, reserves, ceilings, and other quotas that are scarce."""
    rng = random.Random(f"{seed} quotas")
    return tuple(_narrow(rng, each) for each in lanes) if rng.random() < NARROWED else lanes


def _narrow(rng: random.Random, lane: LanePlan) -> LanePlan:
    return replace(
        lane,
        burst=rng.choice((1.0, 4.0, 10.0)),
        reserve=rng.choice((0.0, 0.2, 0.5)),
        headroom=rng.choice((1.0, 1.0, 3.0)),
        imports_per_second=rng.choice((50.0, lane.per_second, lane.per_second * 0.6)),
        looks_per_second=rng.choice((1000.0, max(2.0, 4 * lane.per_second))),
    )
