"""The settings of hostility: each with its unit, its bounds and its default. Plain values, cheap to import.

What belongs to KMS itself (quotas, eventual consistency, losses) runs on the server's own clock, so that it keeps its
proportions when time is sped up or moved by hand. Only latency, which belongs to the network, is real time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

RATES: Final = (
    "lag_rate",
    "error_before_rate",
    "error_after_rate",
    "drop_before_rate",
    "drop_after_rate",
    "cut_rate",
    "early_token_rate",
)
EXCLUSIVE: Final = ("error_before_rate", "error_after_rate", "drop_before_rate", "drop_after_rate", "cut_rate")
"""Of these at most one befalls a request, so their sum is a probability too."""
SWITCHES: Final = (*RATES, "quota_factor", "latency_p50_s", "skew_s", "loss_every_s")
"""The settings whose 0 turns one kind of hostility off."""
LAG_MAX_S: Final = 600.0
LATENCY_MAX_S: Final = 300.0
SKEW_MAX_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostility:
    """What goes wrong, and how often. Rates are probabilities, 0 (never) to 1 (always), of one request each.

    Raises: ValueError for a setting out of its bounds.
    """

    seed: int = 0
    """Where all draws come from. With the same seed, the nth call of an operation by an account in a Region has the
    same fate at every run, whatever other callers do meanwhile."""

    operations: frozenset[str] = frozenset()
    """The operations, in AWS's names, whose requests may go wrong; empty, the default: all. Quotas and losses hold
    whatever it says."""

    quota_factor: float = 1.0
    """AWS's request quotas times this; see quotas.py. 0: no quotas. Counted on the server's clock."""

    quotas: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Requests per second that replace AWS's default for an operation, as a quota increase would, above 0 each. Such as
    {"GetParametersForImport": 1.0}. `quota_factor` applies to them too."""

    lag_s: float = 2.0
    """For how long a change of a key may go unseen by reads, seconds of the server's clock, 0 to 600: a new key is
    NotFound, a changed one shows what it was. KMS promises no more than "usually a few seconds". Changes, and use of a
    key in cryptography, always see the present."""

    lag_rate: float = 0.2
    """The share of reads that are behind while a change is younger than `lag_s`."""

    latency_p50_s: float = 0.005
    """The median time that a request spends on the way, real seconds. 0: no latency at all."""

    latency_p99_s: float = 0.05
    """The time that one request in a hundred exceeds, real seconds, at least the median. Between and beyond the two,
    latency is log-normal."""

    latency_max_s: float = 0.5
    """No request waits longer, real seconds, at most 300. Above a client's timeout, changes are applied after the
    client has given up on them."""

    error_before_rate: float = 0.01
    """HTTP 5xx before anything was changed: KMSInternalException, DependencyTimeoutException, ServiceUnavailable,
    InternalFailure, or a load balancer's page that is no JSON at all."""

    error_after_rate: float = 0.005
    """The same after the change was applied."""

    drop_before_rate: float = 0.005
    """The connection is dropped before anything was changed."""

    drop_after_rate: float = 0.005
    """The connection is dropped after the change was applied, without a byte of the answer."""

    cut_rate: float = 0.005
    """The answer ends in its middle, after the change was applied."""

    early_token_rate: float = 0.01
    """The share of import tokens that end before the ParametersValidTo that they were given out with."""

    early_token_s: float = 0.0
    """How long such a token lives, seconds of the server's clock, 0 (dead when it arrives) to 86,400."""

    skew_s: float = 2.0
    """How far the `Date` of an answer may be from the server's clock, either way, seconds, whole in effect, at most a
    year. Drawn for each answer."""

    loss_every_s: float = 0.0
    """Every so many seconds of the server's clock one Region, drawn among those that have any, loses all imported
    material. 0, the default: never by itself, for it is too rare to be met by surprise; the admin endpoint can do it at
    any time."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds."""
        for name in RATES:
            _check(name, getattr(self, name), 0, 1)
        if sum(getattr(self, name) for name in EXCLUSIVE) > 1:
            raise ValueError(f"The rates {', '.join(EXCLUSIVE)} exclude each other; their sum may be at most 1.")
        _check("lag_s", self.lag_s, 0, LAG_MAX_S)
        _check("latency_max_s", self.latency_max_s, 0, LATENCY_MAX_S)
        _check("latency_p50_s", self.latency_p50_s, 0, self.latency_max_s)
        if self.latency_p50_s:
            _check("latency_p99_s", self.latency_p99_s, self.latency_p50_s, LATENCY_MAX_S)
        _check("early_token_s", self.early_token_s, 0, 86_400)
        _check("skew_s", self.skew_s, 0, SKEW_MAX_S)
        _check("quota_factor", self.quota_factor, 0, 1e9)
        _check("loss_every_s", self.loss_every_s, 0, 1e12)
        for operation, rate in self.quotas.items():
            if not 0 < rate <= 1e9:
                raise ValueError(f"The quota of {operation} must be above 0 requests per second, not {rate}.")

    @classmethod
    def friendly(cls) -> Hostility:
        """No hostility of any kind; the bounds keep their defaults, for whoever turns one kind on again."""
        return cls(**dict.fromkeys(SWITCHES, 0.0))  # type: ignore[arg-type]  # the switches are all floats

    @property
    def draws(self) -> bool:
        """Whether anything is left to chance."""
        return any((*(getattr(self, name) for name in RATES), self.latency_p50_s, self.skew_s))


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, not {value:g}.")


FRIENDLY: Final = Hostility.friendly()
"""No hostility at all, for tests of something else."""
