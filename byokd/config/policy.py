"""How a key's material is kept alive: the settings that are inherited, defaults → fleet → key.

The same model stands in `[defaults]`, in each fleet and at each key; what one leaves out, the one before it says, and
what nobody says is `BUILT_IN`. Relations between settings (a lead shorter than the life it is a lead of) can only be
judged once a policy is whole: `byokd.config.inherit` does.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from byokd.config.problems import Unfit, quoted
from byokd.config.quantities import Portion, Span
from byokd.config.settings import Count, Flag, Name, Settings
from byokd.config.windows import WindowSettings
from byokd.facts.key import Never
from byokd.facts.ledger import MOST_PRIORITY
from byokd.facts.policy import OnLoss

NEVER_COUNTS_AS: Final = timedelta(days=90)
"""The life of which a share is taken where material never expires."""

Algorithm = Literal[
    "auto", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"
]
KeySpec = Literal["auto", "RSA_2048", "RSA_3072", "RSA_4096"]

_NOT_OFFERED: Final = {
    "RSAES_PKCS1_V1_5": "AWS has not taken it since 10 October 2023",
    "SM2PKE": "byokd does not have the ciphers that it takes, which AWS has in China Regions only",
    "SM2": "byokd does not have the ciphers that it takes, which AWS has in China Regions only",
}


def _offered(value: object) -> object:
    """Tell what AWS's own lists have and byokd does not. Everything else is the schema's to judge."""
    if isinstance(value, str) and (why := _NOT_OFFERED.get(value)):
        raise Unfit(f"{quoted(value)} cannot be used: {why}", "leave it out, and byokd chooses")
    return value


class PolicySettings(Settings):
    """Settings that a key inherits from its fleet, and a fleet from the defaults."""

    valid_for: Annotated[timedelta | Literal[Never.NEVER], Span("10s", "365d", never=True)] | None = None
    """Life of each import: a duration from 10s to 365d (KMS takes no more), or `never`. Default 90d."""

    renew_before: Annotated[timedelta | Fraction, Span("1s", "365d", share=True)] | None = None
    """Material is imported again this long before its `ValidTo`: a duration from 1s to 365d or a share of `valid_for`
    (of 90d where that is `never`), shorter than `valid_for`. Default 1/3, the last third of its life."""

    emergency_share: Annotated[Fraction, Portion("0.1%", "100%")] | None = None
    """The last share of life in which backoff, spread and windows no longer count: from 0.1% to below 100%, and a
    shorter time than `renew_before`. Default 5%."""

    spread: Annotated[timedelta | Fraction, Span("0s", "365d", share=True)] | None = None
    """Renewals start up to this much earlier than `renew_before` says, never later, to flatten peaks: a duration from
    0s to 365d or a share of `renew_before`. Default 10%."""

    renewal_floor: Annotated[timedelta, Span("1s", "30d")] | None = None
    """Least time between two successful imports of the same material: from 1s to 30d, and short enough that
    `renew_before`, `spread` and it fit into `valid_for`. Default 1h."""

    on_lapse: OnLoss | None = None
    """What to do once `ValidTo` has passed: `heal` imports at once, `report` only tells people. Default heal."""

    on_foreign_delete: OnLoss | None = None
    """What to do when someone else deleted the material: `heal` or `report`, as above. Default heal."""

    wrapping_algorithm: Annotated[Algorithm, BeforeValidator(_offered)] | None = None
    """How material is wrapped on its way to KMS: RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, RSA_AES_KEY_WRAP_SHA_1,
    RSA_AES_KEY_WRAP_SHA_256, or `auto`, the best that AWS takes for the key's spec. Default auto."""

    wrapping_key_spec: Annotated[KeySpec, BeforeValidator(_offered)] | None = None
    """KMS's public key to wrap under: RSA_2048, RSA_3072, RSA_4096, or `auto`, the longest. Default auto."""

    alert_before: Annotated[tuple[Annotated[timedelta, Span("1s", "365d")], ...] | None, Field(max_length=20)] = None
    """Times before `ValidTo` at which people are told that a renewal is missing: up to 20 durations, each from 1s to
    365d, in any order. Default 30d, 14d, 7d, 3d, 1d."""

    look_every: Annotated[timedelta, Span("1s", "7d")] | None = None
    """byokd looks at the key in KMS at least this often: from 1s to 7d. At one that is Disabled or to be deleted it
    looks every 2h at least. Default 6h."""

    drill_every: Annotated[timedelta, Span("1s", "30d")] | None = None
    """How often the source must prove that it can still produce the same material: from 1s to 30d. Default 1d."""

    settle_for: Annotated[timedelta, Span("1s", "1h")] | None = None
    """How long a change that KMS confirmed may stay invisible before it counts as failed: from 1s to 1h. Default 2m."""

    windows: Annotated[tuple[WindowSettings, ...] | None, Field(max_length=20)] = None
    """Change windows: a routine renewal begins only while one of them is open, an urgent one at any time. Up to 20;
    none (`[]`) means at any time. Not in key lists. Default: none."""

    priority: Annotated[Count, Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] | None = None
    """Whose routine renewals, and whose lapsed keys, the lane serves first: the higher number, from -100 to 100.
    Between keys near their deadlines the deadline alone decides. Default 0."""

    probe: Flag | None = None
    """Whether a key is used once after each import (Encrypt and Decrypt, Sign and Verify, GenerateMac and VerifyMac, or
    DeriveSharedSecret, as it is meant to be), which needs those permissions. Default false."""

    rotate_every: Annotated[timedelta | Literal[Never.NEVER], Span("1d", "3650d", never=True)] | None = None
    """How long a material is a symmetric key's current one before byokd rotates the key to the next of its `materials`:
    from 1d to 3650d, or `never`. KMS allows 25 rotations in a key's life. Default never."""

    source: Name | None = None
    """The source of the material, by its name in `[sources]`. Default: the only source, where there is one."""

    lane: Name | None = None
    """Account and Region of the key, by its name in `[lanes]`. Default: the lane that the key's ARN tells, else the
    only lane, where there is one."""


BUILT_IN: Final = PolicySettings(
    valid_for=timedelta(days=90),
    renew_before=Fraction(1, 3),
    emergency_share=Fraction(5, 100),
    spread=Fraction(10, 100),
    renewal_floor=timedelta(hours=1),
    on_lapse=OnLoss.HEAL,
    on_foreign_delete=OnLoss.HEAL,
    wrapping_algorithm="auto",
    wrapping_key_spec="auto",
    alert_before=tuple(timedelta(days=days) for days in (30, 14, 7, 3, 1)),
    look_every=timedelta(hours=6),
    drill_every=timedelta(days=1),
    settle_for=timedelta(minutes=2),
    priority=0,
    probe=False,
    rotate_every=Never.NEVER,
)
"""What holds where nobody says otherwise."""
