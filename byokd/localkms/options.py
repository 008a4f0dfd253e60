"""What a caller may choose about a local KMS, and what it gets back. Plain values, cheap to import.

Options ── where it listens, where its state is, which clock it keeps
  ├─ Pace ──────── how long things take that AWS does in the background
  ├─ Signatures ── whose signatures are good
  ├─ Limits ────── what one client may take of it
  ├─ Hostility ─── how it misbehaves (hostility/)
  └─ Outlets ───── where it tells of events and calls (outlets/)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from byokd.localkms.clock import Clock, WallClock
from byokd.localkms.hostility import Hostility
from byokd.localkms.outlets import Outlets
from byokd.localkms.pace import PACE, Pace

if TYPE_CHECKING:
    from byokd.localkms.wrapping import WrappingKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An access key that a local KMS knows."""

    secret: str = field(repr=False)
    """The secret access key."""

    account: str
    """Account (12 digits) that it belongs to."""

    session_token: str | None = field(default=None, repr=False)
    """The session token that must come with it. None: any or none will do."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _check_account("account", self.account)
        if not self.secret:
            raise ValueError("The secret of an access key must not be empty.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Whose signatures are good, and how strictly they are read."""

    verify: bool = True
    """Whether signatures are verified at all. False: only the account and Region are read from their scope."""

    credentials: Mapping[str, Credential] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Secrets by access key id. Empty: any access key is accepted, and then the form, scope, date and signed headers of
    a signature are verified, but not its HMAC, for which the secret would have to be known."""

    skew_s: float = 300.0
    """How far a signature's date may lie from the time, seconds, 1 to 86,400. AWS allows five minutes."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _check("skew_s", self.skew_s, 1, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may take of a local KMS."""

    connections: int = 2048
    """Connections open at a time, 1 to 1,000,000; fewer where the process may not have so many files open. When there
    are more, the one idle for longest is closed."""

    idle_s: float = 60.0
    """How long a connection may be idle, or take for the head of a request, seconds, 0.1 to 86,400."""

    body_s: float = 20.0
    """How long the body of a request may take to arrive, seconds, 0.1 to 86,400."""

    body_bytes: int = 1024 * 1024
    """Size of a request's body, bytes, 1 to 1 GiB; far above what the service model's own limits allow in sum."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _check("connections", self.connections, 1, 1_000_000)
        _check("idle_s", self.idle_s, 0.1, 86_400)
        _check("body_s", self.body_s, 0.1, 86_400)
        _check("body_bytes", self.body_bytes, 1, 1 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a local KMS is to run.

    Raises: ValueError for a setting out of its bounds, in the groups too.
    """

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: the local KMS guards nothing, any credentials open it."""

    port: int = 0
    """TCP port; 0 takes a free one, told in `Server.url`."""

    admin: tuple[str, int] | None = None
    """Loopback address and port of the admin endpoint (admin.py), told in `Server.admin_url`. None: there is none."""

    state: Path | None = None
    """SQLite file that holds the keys, with a key file `<state>.key` beside it. None: in memory, gone at the end."""

    account: str = "000000000000"
    """Account (12 digits) of callers whose access key id does not itself consist of 12 digits."""

    clock: Clock = field(default_factory=WallClock)
    """Where the server reads its own time. Dates of signatures are read against real time as well."""

    pace: Pace = PACE
    """How long what AWS does in the background takes: new replicas, changes of the primary, rotations."""

    signatures: Signatures = field(default_factory=Signatures)
    """Whose signatures are good."""

    limits: Limits = field(default_factory=Limits)
    """What one client may take of it."""

    hostility: Hostility = field(default_factory=Hostility)
    """How it misbehaves. `FRIENDLY`: not at all."""

    outlets: Outlets = field(default_factory=Outlets)
    """Where it sends what AWS would tell the world about keys: events, a trail of calls."""

    pool: WrappingKeys | None = field(default=None, repr=False)
    """Ready-made wrapping keys, for many short-lived servers to share the cost of RSA. None: it makes its own."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _check_account("account", self.account)
        if self.admin is not None and not is_loopback(self.admin[0]):
            raise ValueError(f"The admin endpoint authenticates nobody: {self.admin[0]} is not a loopback address.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running local KMS."""

    url: str
    """Endpoint for clients, such as `http://127.0.0.1:43121`."""

    admin_url: str | None = None
    """Address of the admin endpoint. None: there is none."""


def is_loopback(host: str) -> bool:
    """Whether a host is an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, not {value:g}.")


def _check_account(name: str, value: str) -> None:
    if not (len(value) == 12 and value.isascii() and value.isdigit()):
        raise ValueError(f"{name} must be 12 digits, not {value!r}.")
