"""The Unix socket: made so that nobody else can open it, one daemon at a time, and gone with the daemon.

    look at the path ─▶ bind (mode 0660 from the first moment) ─▶ set the mode ─▶ listen ... ─▶ remove what is ours

A socket file outlives a daemon that was killed. It is taken away only when nobody answers it; a file that is no socket
is never touched. Between bind and listen the kernel refuses every connection, so the mode holds before the first one.
"""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
import struct
from asyncio import BaseTransport
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from byokd.errors import OperatorError

MODE: Final = 0o660
"""Owner and group may ask and order."""
SHUTDOWN_S: Final = 2.0
"""How long requests in progress may take to finish when the daemon ends, seconds."""
_PROBE_S: Final = 1.0
"""How long an old socket may take to answer, seconds."""
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


@asynccontextmanager
async def serving(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Serve `app` on a Unix socket at `path` until the block is left.

    Raises:
        OperatorError: somebody answers there already, the place is taken by another file, or cannot be used.
    """
    listener = _bind(path)
    try:
        mine = _identity(path)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()
            _remove(path, mine)
    finally:
        listener.close()


def peer(transport: BaseTransport | None) -> str:
    """The Unix user at the other end: a name, or `uid N` where there is none, or `unknown` off a Unix socket."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return "unknown"
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _bind(path: Path) -> socket.socket:
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the open socket, less the umask; the process-wide umask stays as it is.
        os.fchmod(listener.fileno(), MODE)
        listener.bind(str(path))
        path.chmod(MODE)
    except OSError as error:
        listener.close()
        raise OperatorError(f"cannot make the socket {path}: {error.strerror or error}") from error
    return listener


def _clear(path: Path) -> None:
    """Take away a socket that nobody answers any more."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OperatorError(f"cannot make the socket {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(kind):
        raise OperatorError(f"{path} is in the way: it is not a socket")
    if _answered(path):
        raise OperatorError(f"another byokd answers on {path}; one daemon serves one socket")
    with suppress(FileNotFoundError):
        path.unlink()


def _answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        code = probe.connect_ex(str(path))
    return code not in (errno.ECONNREFUSED, errno.ENOENT)


def _remove(path: Path, mine: tuple[int, int] | None) -> None:
    """Remove our own socket; a later daemon's is not ours to remove."""
    if _identity(path) == mine:
        path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
