"""Metrics: the time that imported material has left, and what the server has done, in Prometheus's text formats.

CloudWatch has the first as AWS/KMS `SecondsUntilKeyMaterialExpiration` for each key, the earliest of its materials
(https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-cloudwatch.html); the others are ours. The page is
OpenMetrics 1.0 for whoever asks for it, else the older text format, which promtool reads: the two differ in where the
`_total` of a counter stands, and in the end mark. Pure but for the counters, which the wire and the couriers advance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from byokd.localkms.keyring import Keyring

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"

TIME_LEFT: Final = "aws_kms_seconds_until_key_material_expiration"


@dataclass(slots=True)
class Tally:
    """What is counted, by its labels; since the server started."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Operation; error code, or empty."""
    mishaps: Counter[tuple[str]] = field(default_factory=Counter)
    """The setting's name, without its ending."""
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Outlet; `delivered` or `lost`."""
    expiries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Account; Region."""


def page(keyring: Keyring, tally: Tally, now: float, *, openmetrics: bool) -> str:
    """The whole page. Keys whose material does not expire, or is gone, have no time left to show."""
    lines = [
        f"# HELP {TIME_LEFT} Time until the earliest imported key material of the key expires.",
        f"# TYPE {TIME_LEFT} gauge",
        *_time_left(keyring, now),
    ]
    for name, what, labels, counter in (
        ("localkms_requests", "Calls answered, by operation and error code.", ("operation", "error"), tally.requests),
        ("localkms_mishaps", "Calls that hostility took a hand in, by its setting.", ("kind",), tally.mishaps),
        ("localkms_events", "Events about keys, by outlet and fate.", ("outlet", "fate"), tally.events),
        ("localkms_expiries", "Materials that expired.", ("account", "region"), tally.expiries),
    ):
        described = name if openmetrics else f"{name}_total"
        lines += [f"# HELP {described} {what}", f"# TYPE {described} counter"]
        lines += [f"{name}_total{_labels(labels, values)} {count}" for values, count in sorted(counter.items())]
    return "\n".join([*lines, *(["# EOF"] if openmetrics else [])]) + "\n"


def _time_left(keyring: Keyring, now: float) -> Iterator[str]:
    for key in keyring.all_keys():
        expiries = [each.expires_at for each in key.materials if each.expires_at is not None]
        if expiries:
            labels = _labels(("account", "region", "key_id"), (key.owner.account, key.owner.region, key.id))
            yield f"{TIME_LEFT}{labels} {max(0.0, min(expiries) - now):.3f}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Labels; the values are ids and words of ours, or operation names that the model knows: nothing to escape."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True)) + "}"
