"""What a caller may choose about a local KMS, and what it gets back. Plain values, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from byokd.localkms.clock import Clock, WallClock

if TYPE_CHECKING:
    from byokd.localkms.wrapping import WrappingKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a local KMS is to run."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: the local KMS guards nothing, any credentials open it."""

    port: int = 0
    """TCP port; 0 takes a free one, told in `Server.url`."""

    state: Path | None = None
    """SQLite file that holds the keys, with a key file `<state>.key` beside it. None: in memory, gone at the end."""

    account: str = "000000000000"
    """Account (12 digits) of callers whose access key id does not itself consist of 12 digits."""

    clock: Clock = field(default_factory=WallClock)
    """Where the server reads the time."""

    pool: WrappingKeys | None = field(default=None, repr=False)
    """Ready-made wrapping keys, for many short-lived servers to share the cost of RSA. None: it makes its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running local KMS."""

    url: str
    """Endpoint for clients, such as `http://127.0.0.1:43121`."""
