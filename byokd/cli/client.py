"""HTTP over the daemon's Unix socket, from the standard library: aiohttp would double the time of every command."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from byokd.cli.failures import Failed
from byokd.errors import DaemonUnreachable

TIMEOUT_S: Final = 10.0
"""How long the daemon may be silent."""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes; a page of a thousand keys is about one megabyte."""
NOT_ALLOWED: Final = "Run the command as a member of the socket's group (`ls -l` names it), or as root."

Document = dict[str, Any]


def call(
    path: Path,
    method: str,
    target: str,
    query: Mapping[str, str],
    body: object = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, Document]:
    """Ask the daemon behind the socket at `path`; returns the HTTP status and the document.

    Raises:
        Failed: this user may not open the socket, whoever answers there.
        DaemonUnreachable: nobody answers in time, or what answers is not byokd.
    """
    connection = _Connection(path, timeout_s)
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, f"{target}?{urlencode(query)}" if query else target, body=payload)
        response = connection.getresponse()
        document = json.loads(response.read(MAX_ANSWER))
    except PermissionError as error:
        message = f"the socket {path} may not be opened by this user"
        raise Failed(message, step=NOT_ALLOWED, code=DaemonUnreachable.code) from error
    except OSError as error:
        raise DaemonUnreachable(f"the daemon does not answer at {path}: {error.strerror or error}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise DaemonUnreachable(f"what answers at {path} is not byokd") from error
    finally:
        connection.close()
    if not isinstance(document, dict):
        raise DaemonUnreachable(f"what answers at {path} is not byokd")
    return response.status, document


class _Connection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a path."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
