"""Alerts by HTTP POST: the document of `render` as JSON, signed if a secret is configured.

    POST <url>
    Content-Type: application/json
    X-Byokd-Signature: sha256=<hex of HMAC-SHA-256 over the body, keyed with the secret>

Any 2xx is delivery; a redirect is not, because it would carry the document to a place that nobody configured.

Webhook URLs are secrets more often than not (in userinfo, query, or path), so no error names more of one than scheme,
host and port, and aiohttp's own errors, which quote URLs, are not chained.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from byokd import __version__
from byokd.alerts.render import document
from byokd.errors import ChannelError, SourceError
from byokd.facts.condition import Message
from byokd.material.private_file import read_private
from byokd.ports import Channel

TIMEOUT_S: Final = 10.0
SIGNATURE: Final = "X-Byokd-Signature"
SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 4096


@asynccontextmanager
async def open_webhook(
    name: str, *, url: str, timeout_s: float = TIMEOUT_S, secret_file: Path | None = None
) -> AsyncIterator[Channel]:
    """A channel that posts to `url`, until the block is left; deliveries in flight then end first.

    `timeout_s` bounds each delivery as a whole. Leaving the block waits for none.

    `secret_file`, private to byokd, holds 16 to 4096 bytes; white space around them does not count. It is read at each
    delivery, so that it can be replaced under a running daemon.

    Raises: ValueError if the URL is not http or https with a host; its text does not hold the URL.
    """
    target = _parsed(url)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    session = aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": f"byokd/{__version__}"})
    channel = WebhookChannel(name, url=target, session=session, secret_file=secret_file)
    try:
        yield channel
    finally:
        await channel.give_up()


class WebhookChannel:
    """Implements `ports.Channel`; opened by `open_webhook`."""

    def __init__(self, name: str, *, url: URL, session: aiohttp.ClientSession, secret_file: Path | None) -> None:
        self.name = name
        self._url = url
        self._session = session
        self._secret_file = secret_file
        self._in_flight = 0
        self._given_up = False

    async def give_up(self) -> None:
        """Close the connections when the last delivery in flight has ended: whoever got half of one would get two."""
        self._given_up = True
        if not self._in_flight:
            await self._session.close()

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`. One attempt."""
        self._in_flight += 1
        try:
            await self._deliver(message)
        finally:
            self._in_flight -= 1
            if self._given_up:
                await self.give_up()

    async def _deliver(self, message: Message) -> None:
        body = json.dumps(document(message)).encode()
        headers = {"Content-Type": "application/json"}
        if self._secret_file is not None:
            headers[SIGNATURE] = f"sha256={hmac.new(self._secret(self._secret_file), body, hashlib.sha256).hexdigest()}"
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except TimeoutError:
            raise self._failed("did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise self._failed(f"cannot be reached: {reason}") from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._failed(f"answered HTTP {status}")

    def _secret(self, path: Path) -> bytes:
        buffer = bytearray(SECRET_BYTES_MAX + 1)
        try:
            length = read_private(path, memoryview(buffer))
        except SourceError as error:
            raise ChannelError(f"alert channel {self.name}: {error}") from error
        secret = bytes(buffer[:length]).strip()
        if length > SECRET_BYTES_MAX or len(secret) < SECRET_BYTES_MIN:
            raise ChannelError(
                f"alert channel {self.name}: {path} does not hold {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
            )
        return secret

    def _failed(self, how: str) -> ChannelError:
        return ChannelError(f"alert channel {self.name}: {self._url.origin()} {how}")


def _parsed(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("a webhook's URL begins with http:// or https:// and names a host")
    return parsed
