"""Fate: everything that will go wrong with one request, decided when it arrives.

    seed ‖ account ‖ Region ‖ operation ‖ n ‖ aspect ─▶ BLAKE2b ─▶ a number in [0, 1) ─▶ compared with a rate

n counts the requests of that caller for that operation since the server started. So a run repeats if each caller's
calls of each operation come in the same order, and neither other callers nor new key ids disturb it. There is no
generator whose state one draw would move for the next. Pure but for that counter.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

from byokd.localkms.errors import Fault
from byokd.localkms.hostility.settings import EXCLUSIVE, Hostility
from byokd.localkms.signatures import Caller

P99: Final = NormalDist().inv_cdf(0.99)


class Mishap(Enum):
    """What breaks on the way of a request; the value names the setting with its rate."""

    NONE = ""
    ERROR_BEFORE = "error_before_rate"
    """A 5xx, and nothing was changed."""
    ERROR_AFTER = "error_after_rate"
    """A 5xx, although the change was applied."""
    DROP_BEFORE = "drop_before_rate"
    """No answer, and nothing was changed."""
    DROP_AFTER = "drop_after_rate"
    """No answer, although the change was applied."""
    CUT = "cut_rate"
    """Half an answer; the change was applied."""


OUTAGES: Final = (Fault.INTERNAL, Fault.DEPENDENCY_TIMEOUT, Fault.SERVICE_UNAVAILABLE, Fault.INTERNAL_FAILURE, None)
"""The 5xx of the service model and of AWS's common errors. None: a page of the load balancer, which is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What will befall one request."""

    latency_s: float = 0.0
    """How long it is on the way, real seconds."""
    mishap: Mishap = Mishap.NONE
    outage: Fault | None = Fault.INTERNAL
    """The 5xx, where `mishap` says that there is one; see OUTAGES."""
    behind: bool = False
    """Whether it sees the past, if it is a read."""
    token_s: float | None = None
    """How long the import token that it gets really lives, seconds. None: as long as it is told."""
    skew_s: int = 0
    """What is added to the `Date` of its answer."""


KIND: Final = Fate()
"""Nothing goes wrong."""


class Fates:
    """Draws fates from the seed."""

    def __init__(self, hostility: Hostility) -> None:
        self._hostility = hostility
        self._draws = hostility.draws
        self._seen: Counter[tuple[Caller, str]] = Counter()
        self._bands = _bands(hostility)

    def of(self, caller: Caller, operation: str) -> Fate:
        """The fate of the next request of a caller for an operation."""
        settings = self._hostility
        if not self._draws or (settings.operations and operation not in settings.operations):
            return KIND
        self._seen[caller, operation] += 1
        request = f"{settings.seed}/{caller.account}/{caller.region}/{operation}/{self._seen[caller, operation]}"
        late = draw(request, "token") < settings.early_token_rate
        return Fate(
            latency_s=_latency(settings, draw(request, "latency")),
            mishap=self._mishap(draw(request, "mishap")),
            outage=OUTAGES[int(draw(request, "outage") * len(OUTAGES))],
            behind=draw(request, "behind") < settings.lag_rate,
            token_s=settings.early_token_s if late else None,
            skew_s=round((2 * draw(request, "skew") - 1) * settings.skew_s),
        )

    def _mishap(self, drawn: float) -> Mishap:
        return next((mishap for edge, mishap in self._bands if drawn < edge), Mishap.NONE)


def draw(*what: str) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    digest = blake2b("/".join(what).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)  # what a float can hold exactly


def _bands(hostility: Hostility) -> list[tuple[float, Mishap]]:
    """The upper edge of each mishap's share of [0, 1)."""
    bands, edge = [], 0.0
    for name in EXCLUSIVE:
        edge += getattr(hostility, name)
        bands.append((edge, Mishap(name)))
    return bands


def _latency(settings: Hostility, drawn: float) -> float:
    if not settings.latency_p50_s or not 0 < drawn < 1:
        return settings.latency_p50_s
    sigma = math.log(settings.latency_p99_s / settings.latency_p50_s) / P99
    return min(settings.latency_p50_s * math.exp(sigma * NormalDist().inv_cdf(drawn)), settings.latency_max_s)
