"""A local KMS on a loop of its own in a thread, for tests that are not asynchronous, such as hypothesis's."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AbstractAsyncContextManager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from byokd.localkms import FRIENDLY, Options, Server, serve
from byokd.localkms.options import Signatures
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, REGION, ManualClock

WITHIN_S = 120.0
"""For an answer: thousands of histories meet a second in which the machine does something else for ten."""


class Service:
    """A local KMS on a state file, stopped and started at will, and a client that asks it."""

    def __init__(self, state: Path | None, pool: WrappingKeys, *, verify: bool = False) -> None:
        self.clock = ManualClock()
        signatures = Signatures(verify=verify)
        self._options = Options(state=state, clock=self.clock, pool=pool, hostility=FRIENDLY, signatures=signatures)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.start()

    def start(self) -> None:
        """Serve the state, wherever a port is free."""
        self._serving: AbstractAsyncContextManager[Server] = serve(self._options)
        self.address = self._do(self._serving.__aenter__()).url.removeprefix("http://")
        self._connection = HTTPConnection(self.address, timeout=WITHIN_S)

    def stop(self) -> None:
        """Stop serving; the state stays."""
        self._connection.close()
        self._do(self._serving.__aexit__(None, None, None))

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def advance(self, seconds: float) -> None:
        """Let time pass."""

        async def turn() -> None:
            self.clock.advance(seconds)

        self._do(turn())

    def ask(self, operation: str, **members: Any) -> tuple[str | None, dict[str, Any]]:
        """Call an operation; the error code, None for success, and the answer."""
        headers = {
            "X-Amz-Target": f"TrentService.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20270115/{REGION}/kms/aws4_request, Signature=0",
        }
        given = {name: value for name, value in members.items() if value is not None}
        self._connection.request("POST", "/", json.dumps(given), headers)
        with self._connection.getresponse() as response:
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
        assert response.status in {200, 400}, (operation, response.status, answer)
        return answer.get("__type"), answer

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=WITHIN_S)
