"""What an operator wants for a key: the policy (defaults → fleet → key, resolved), and its place in the fleet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from byokd.facts.key import Absent, KeyArn, KeyRef, LaneId, Never
from byokd.facts.kinds import AlgorithmWanted, KeySpecWanted


class OnLoss(StrEnum):
    """What to do about material that is gone."""

    HEAL = "heal"
    """Import it again at once."""
    REPORT = "report"
    """Tell people, and leave the key alone until an order says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWindow:
    """A recurring time in which routine renewals may begin; `byokd.decide.windows` knows when it is open."""

    cron: str
    """When it opens, by local time: five fields as in crontab(5)."""
    lasts: timedelta
    """How long it stays open, in elapsed time."""
    time_zone: str
    """Whose local time, by its name in the time zone database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one key's material is kept alive. Config has checked each bound; see `config/byokd.example.toml`."""

    valid_for: timedelta | Literal[Never.NEVER]
    """Life of each import; at most 365 days (API model, ImportKeyMaterial.ValidTo)."""
    renew_before: timedelta
    """Lead of the normal renewal before `ValidTo`; shorter than `valid_for`."""
    emergency_share: float
    """The last share of life, 0 < share < 1, in which backoff, spread and windows no longer count."""
    spread: timedelta
    """Renewals start up to this much earlier than `renew_before` says, never later, to flatten peaks."""
    renewal_floor: timedelta
    """Least time between two successful imports of the same material, unless an order says so."""
    on_lapse: OnLoss
    on_foreign_delete: OnLoss
    wrapping_algorithm: AlgorithmWanted
    wrapping_key_spec: KeySpecWanted
    alert_before: tuple[timedelta, ...]
    """Thresholds of time left without a renewal at which people are told, longest first."""
    look_every: timedelta
    """byokd looks at the key at least this often, whatever else happens."""
    drill_every: timedelta
    """How often the source is asked to prove that it can still produce the same material."""
    settle_for: timedelta
    """How long a change that KMS confirmed may stay invisible (eventual consistency) before it counts as failed."""
    windows: tuple[ChangeWindow, ...] = ()
    """Renewals of the tier DUE begin only while one of these is open; empty: at any time."""
    priority: int = 0
    """Whose routine renewals, and whose lapsed keys, come first: the higher number. See `Import.rank`."""
    probe: bool = False
    """Whether the key is used once after each import, to see that it works."""
    rotate_every: timedelta | Literal[Never.NEVER] = Never.NEVER
    """How long a material is the key's current one before byokd rotates it to the next in stock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredKey:
    """One key of the config."""

    ref: KeyRef
    lane: LaneId
    name: str
    """As the config names it: ARN, key id, or `alias/...`."""
    arn: KeyArn | Absent
    """Known from the config, or ABSENT for an alias, which is pinned at the first look."""
    fleet: str
    source: str
    """The name of the source in the config."""
    locator: str
    """Where the source finds this key's material: a path for a file, an argument for a command."""
    policy: Policy
    further: tuple[str, ...] = ()
    """Where it finds the materials that follow: those of the key's rotations, oldest first, done and still to come."""

    @property
    def locators(self) -> tuple[str, ...]:
        """Of all materials of the key, oldest first."""
        return (self.locator, *self.further)

    @property
    def alias(self) -> str | Absent:
        """The alias that names this key, with its `alias/` prefix."""
        return self.name if self.name.startswith("alias/") else Absent.ABSENT


SLOWEST_QUOTA: Final = 0.001
FASTEST_QUOTA: Final = 10_000.0
"""Requests a second of one operation: no lane is configured to less or more, and no other figure is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A request quota of KMS, per account and Region and operation (developer guide, "Request quotas")."""

    per_second: float
    burst: float
    ceiling: float = 0.0
    """Requests a second that may be learned to be allowed; what is not above `per_second` leaves nothing to learn."""

    @property
    def headroom(self) -> float:
        """The largest share of `per_second` that may be used, 1 at least."""
        return self.ceiling / self.per_second if self.ceiling > self.per_second else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPace:
    """What a lane found out about one operation's quota, kept over restarts."""

    share: float
    """The pace as a share of the configured quota."""
    limit: float
    """The largest share that was found to be allowed."""
    limited_at: datetime
    """When that was found."""
    per_second: float = 0.0
    """The quota that it was learned of: it says nothing about another. 0: not on record, and taken for the present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One AWS account in one Region: the unit of quota, of credentials and of ownership."""

    id: LaneId
    name: str
    """As the config calls it."""
    account: str
    region: str
    endpoint: str | Absent
    """Replaces AWS's own endpoint for the Region: a VPC endpoint, or a local KMS."""
    fips: bool
    """AWS's FIPS 140 endpoint of the Region."""
    dual_stack: bool
    """AWS's dual-stack endpoint of the Region, for IPv6."""
    quota_share: float
    """Share of the account's quotas that is byokd's, 0 < share <= 1; `quotas` have it taken off already."""
    read_quotas: bool
    """Whether the account's own quotas are asked of Service Quotas."""
    profile: str | Absent
    role_arn: str | Absent
    external_id: str | Absent
    session_name: str
    connect_timeout: timedelta
    call_timeout: timedelta
    """From sending a request to its whole answer."""
    max_in_flight: int
    quotas: dict[str, Quota]
    """By KMS operation name, e.g. `GetParametersForImport`; every operation that byokd calls has one."""
    reserve: float
    """Share of GetParametersForImport's burst that routine renewals leave to urgent and later tiers, 0 <= share < 1."""
    min_slack: float = 0.5
    """People are told when the forecast leaves a key less than this share of its lead, 0 <= share < 1."""
    discover_every: timedelta | Absent = Absent.ABSENT
    """How often the lane is searched for keys that nobody manages; ABSENT: never."""
    sts_endpoint: str | Absent = Absent.ABSENT
    """Replaces AWS's own endpoint of STS, where the lane assumes its role."""
    quotas_endpoint: str | Absent = Absent.ABSENT
    """Replaces AWS's own endpoint of Service Quotas, where that is asked."""
