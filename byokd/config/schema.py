"""The whole config file as models: what may be written, in which bounds, and what holds when nothing is.

    [daemon]  [defaults]  [lanes.*]  [sources.*]  [channels.*]  [fleets.*]  [[fleets.*.keys]]  [local_kms]

Each table's models stand in a file of its own where there is much to say. Only what one table can know is judged here;
what shows across tables (unknown lanes, one key twice, a lead longer than the life) is judged by
`load` and `roster`.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from byokd.config.channels import ChannelSettings, LogChannel, WebhookChannel
from byokd.config.lanes import LaneSettings, QuotaSettings, QuotasSettings
from byokd.config.policy import PolicySettings
from byokd.config.problems import Unfit, quoted
from byokd.config.quantities import Span
from byokd.config.settings import ConfigPath, Count, Flag, Line, Name, Rate, Settings
from byokd.config.sources import CommandSource, Encoding, FileSource, SourceSettings
from byokd.config.windows import WindowSettings
from byokd.facts.ledger import OrderKind

__all__ = [
    "ChannelSettings",
    "CommandSource",
    "ConfigFile",
    "DaemonSettings",
    "Encoding",
    "FileSource",
    "FleetSettings",
    "KeySettings",
    "LaneSettings",
    "LocalKmsSettings",
    "LogChannel",
    "PolicySettings",
    "QuotaSettings",
    "QuotasSettings",
    "SourceSettings",
    "WebhookChannel",
    "WindowSettings",
]

SOCKET_BYTES: Final = 107
"""The longest path of a Unix socket (`sun_path` in unix(7), without its final zero)."""


def _socket(value: Path) -> Path:
    if len(os.fsencode(value)) > SOCKET_BYTES:
        raise Unfit(f"{quoted(str(value))} is too long for a Unix socket", f"at most {SOCKET_BYTES} bytes")
    return value


def _listen(value: str) -> str:
    host, colon, port = value.rpartition(":")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not colon or not loopback or not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise Unfit(f"{quoted(value)} is not an address of this machine alone", "127.0.0.1:PORT, port 0 for a free one")
    return value


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _log_channel() -> dict[str, ChannelSettings]:
    return {"log": LogChannel(type="log")}


class DaemonSettings(Settings):
    """The daemon itself."""

    state_dir: ConfigPath = Path("/var/lib/byokd")
    """Directory of the database `byokd.db`; holds no material, but losing it forgets holds, history and fingerprints.
    Default /var/lib/byokd."""

    fingerprint_key: ConfigPath | None = None
    """File with the key that fingerprints of material are made with. Default: `fingerprint.key` among systemd's
    credentials, else in `state_dir`, where byokd makes one if there is none."""

    socket: Annotated[ConfigPath, AfterValidator(_socket)] = Path("/run/byokd/byokd.sock")
    """Unix socket on which the command line talks to the daemon; at most 107 bytes. Default /run/byokd/byokd.sock."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged: debug, info, warning or error. Default info."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """How it is logged: json, console, or auto (console on a terminal, else json). Default auto."""

    skew_threshold: Annotated[timedelta, Span("1s", "1h")] = timedelta(seconds=30)
    """People are told when this machine's clock and KMS's differ by more: from 1s to 1h. Default 30s."""

    history_for: Annotated[timedelta, Span("1d", "3650d")] = timedelta(days=400)
    """How long history is kept: from 1d to 3650d. Default 400d."""

    safety_wake: Annotated[timedelta, Span("1s", "1h")] = timedelta(seconds=60)
    """The daemon sleeps at most this long before it reads the clock again: from 1s to 1h. Default 60s."""

    approval: tuple[OrderKind, ...] = ()
    """Kinds of orders that a second person must approve before they are in force: import, hold, release, suspend,
    resume, rotate. Default: none."""

    stop_timeout: Annotated[timedelta, Span("1s", "10m")] = timedelta(seconds=45)
    """How long what is in flight may take to finish when the daemon stops; shorter than systemd's `TimeoutStopSec`:
    from 1s to 10m. Default 45s."""


MAX_MATERIALS: Final = 26
"""A key's first material, and one for each of the 25 rotations on demand of its life (API model, RotateKeyOnDemand)."""


MAX_REPLICAS: Final = 50
"""More than AWS has Regions: a multi-Region key has one replica in each at most."""


class KeySettings(PolicySettings):
    """One key, and what it does differently from its fleet."""

    key: Line
    """The key's ARN, its key id, or `alias/...`. An alias is pinned to the key it stands for at the first look."""

    material: Line | None = None
    """Where the source finds the key's material: a file, or the command's locator. Default: the key id, or the alias
    without `alias/`; for a file source with a directory, `.key` is appended."""

    materials: Annotated[tuple[Line, ...], Field(min_length=1, max_length=MAX_MATERIALS)] | None = None
    """In place of `material`, for a symmetric key that was or will be rotated: where the source finds all its
    materials, from the key's first on, up to 26. Those that KMS does not have yet are in stock for coming rotations.
    Default: none."""

    replicas: Annotated[tuple[Line, ...], Field(min_length=1, max_length=MAX_REPLICAS)] | None = None
    """For the primary of a multi-Region key: the lanes of its replicas, which get the same material and policy as it.
    `byokd replicate` makes those that are not there yet. Default: none."""


class FleetSettings(PolicySettings):
    """Keys that are kept alive in the same way."""

    keys_csv: ConfigPath | None = None
    """List of keys in CSV: a header `key,material` and, as wanted, `replicas`, `lane`, `source` and any policy setting
    but `windows`; an empty cell inherits. `alert_before` is written with spaces: `30d 7d`; several materials of a key,
    from the first on, and the lanes of its replicas with bars: `a.key|b.key`. Up to 256 MiB. Default: none."""

    keys: tuple[KeySettings, ...] = ()
    """Keys written here, as `[[fleets.NAME.keys]]`. Default: none."""


class LocalKmsSettings(Settings):
    """A KMS inside the daemon, to try byokd out without AWS. It guards nothing: any credentials open it."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:0"
    """Loopback address and port to serve on; port 0 takes a free one. Default 127.0.0.1:0."""

    admin: Annotated[str, AfterValidator(_listen)] | None = None
    """Loopback address and port of its admin endpoint, which steps its time, takes snapshots and loses material; port 0
    takes a free one. Default: none."""

    state: ConfigPath | None = None
    """File that keeps its keys. Default: none, and they are gone when the daemon stops."""

    friendly: Flag = False
    """Whether it answers as its rules alone want it: true or false. Otherwise it throttles, lags and loses answers, as
    the real one may. Default false."""

    seed: Count = 0
    """Where its hostility starts drawing: with the same number a run repeats. Default 0."""

    rate: Annotated[Rate, Field(ge=1, le=100_000)] = 1
    """Seconds of its clock in one real second: from 1 to 100000. byokd's own clock stays real, so material lapses that
    much sooner than byokd takes it to. Default 1."""

    create_missing_keys: Flag = False
    """At start, create a key for each alias of the config that does not exist in it: true or false. Default false."""

    create_missing_material: Flag = False
    """At start, write 32 random bytes into each material file that does not exist, for keys in this KMS: true or false.
    Default false."""

    @property
    def address(self) -> tuple[str, int]:
        """The host and port of `listen`."""
        return _host_and_port(self.listen)

    @property
    def admin_address(self) -> tuple[str, int] | None:
        """The host and port of `admin`."""
        return None if self.admin is None else _host_and_port(self.admin)


class ConfigFile(Settings):
    """byokd's configuration: the main file and `conf.d/*.toml` beside it, as one."""

    daemon: DaemonSettings = DaemonSettings()
    """Where the daemon keeps its state, how it logs, and its own limits."""

    defaults: PolicySettings = PolicySettings()
    """How material is kept alive where neither fleet nor key says otherwise."""

    lanes: dict[Name, LaneSettings] = Field(default_factory=dict)
    """AWS accounts and Regions, by a name of your own."""

    sources: dict[Name, SourceSettings] = Field(default_factory=dict)
    """Where material comes from, by a name of your own."""

    channels: dict[Name, ChannelSettings] = Field(default_factory=_log_channel)
    """Where people are told, by a name of your own. Default: one channel of type log."""

    fleets: dict[Name, FleetSettings] = Field(default_factory=dict)
    """Keys, in groups of your own, by name."""

    local_kms: LocalKmsSettings | None = None
    """A KMS inside the daemon, for development. Default: none."""
