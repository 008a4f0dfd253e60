"""Alerts by webhook: what is posted, what counts as delivered, and what errors tell."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import traceback
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byokd.alerts.render import document
from byokd.alerts.webhook import WebhookChannel, open_webhook
from byokd.errors import ChannelError
from tests.kit.notices import a_notice, alone
from tests.kit.receiver import receiver

SECRET = b"a shared secret of the two"


def secret_file(directory: Path, content: bytes = SECRET + b"\n", mode: int = 0o600) -> Path:
    """A file with the secret."""
    path = directory / "secret"
    path.touch()
    path.chmod(mode)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_delivered(status: int) -> None:
    """Any 2xx is delivery, and the body is the document."""
    async with receiver(status) as served, open_webhook("pager", url=served.url) as channel:
        await channel.deliver(alone(a_notice()))
    assert channel.name == "pager"
    assert json.loads(served.bodies[0]) == document(alone(a_notice()))
    assert served.headers[0]["Content-Type"] == "application/json"
    assert "X-Byokd-Signature" not in served.headers[0]


async def test_a_delivery_in_flight_outlives_a_reload() -> None:
    """Who is being told when the channel is closed hears the whole of it once; then the connections are closed."""
    asked, answers = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        asked.set()
        await answers.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    async with TestServer(app, shutdown_timeout=0) as server:
        async with open_webhook("pager", url=str(server.make_url("/"))) as channel:
            telling = asyncio.create_task(channel.deliver(alone(a_notice())))
            await asked.wait()
        assert isinstance(channel, WebhookChannel)
        assert not channel._session.closed
        answers.set()
        await telling
        assert channel._session.closed


async def test_signed(tmp_path: Path) -> None:
    """With a secret, the header proves who sent the body; the file's last newline does not count."""
    file = secret_file(tmp_path)
    async with receiver() as served, open_webhook("pager", url=served.url, secret_file=file) as channel:
        await channel.deliver(alone(a_notice()))
    expected = hmac.new(SECRET, served.bodies[0], hashlib.sha256).hexdigest()
    assert served.headers[0]["X-Byokd-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        pytest.param(SECRET, 0o644, "chmod 600", id="others could read it"),
        pytest.param(b"short", 0o600, "16 to 4096", id="too short"),
        pytest.param(b"s" * 4097, 0o600, "16 to 4096", id="too long"),
    ],
)
async def test_unusable_secret(tmp_path: Path, content: bytes, mode: int, told: str) -> None:
    """Without a usable secret nothing is sent unsigned."""
    file = secret_file(tmp_path, content, mode)
    async with receiver() as served, open_webhook("pager", url=served.url, secret_file=file) as channel:
        with pytest.raises(ChannelError, match=told):
            await channel.deliver(alone(a_notice()))
    assert served.bodies == []


@pytest.mark.parametrize("status", [302, 307, 400, 404, 500])
async def test_refused(status: int) -> None:
    """Anything but 2xx is no delivery; redirects are not followed."""
    async with receiver(status) as served, open_webhook("pager", url=served.url) as channel:
        with pytest.raises(ChannelError, match=f"HTTP {status}") as failed:
            await channel.deliver(alone(a_notice()))
    assert len(served.bodies) == 1
    assert_discreet(failed.value)


async def test_no_answer_in_time() -> None:
    """A receiver that hangs is given up after the timeout."""
    async with receiver(None) as served, open_webhook("pager", url=served.url, timeout_s=0.3) as channel:
        with pytest.raises(ChannelError, match="in time") as failed:
            await channel.deliver(alone(a_notice()))
    assert_discreet(failed.value)


async def test_nobody_listens() -> None:
    """A receiver that is not there is named, so far as its URL is no secret."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{unused.getsockname()[1]}/hooks/T0KEN?key=k3y"
        async with open_webhook("pager", url=url) as channel:
            with pytest.raises(ChannelError, match=r"http://127.0.0.1:\d+ cannot be reached") as failed:
                await channel.deliver(alone(a_notice()))
    assert_discreet(failed.value)


def assert_discreet(error: ChannelError) -> None:
    """Neither the error nor its traceback tells the URL's secrets."""
    told = "".join(traceback.format_exception(error))
    assert not [secret for secret in ("hunter2", "T0KEN", "k3y") if secret in told]


@pytest.mark.parametrize("url", ["", "ftp://host/", "https:///path", "k3y", "http://[k3y"])
async def test_unusable_url(url: str) -> None:
    """A URL that cannot be posted to is found out at opening, and not quoted."""
    with pytest.raises(ValueError, match="http://") as refused:
        async with open_webhook("pager", url=url):
            pass
    assert "k3y" not in str(refused.value)
