"""Couriers: events on their way out, each destination with a queue and a task of its own.

    announce ─▶ [ at most QUEUE_MAX ] ─▶ send ──ok──▶ delivered
                 full: the oldest falls out  └─refused, no answer─▶ again, ATTEMPTS times in all ─▶ lost

`announce` never waits, so no request ever does. What is lost is counted and logged: EventBridge calls these events best
effort too. Waits between attempts are real time: the destination lives in the real world.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from byokd.localkms.outlets.events import Event
from byokd.localkms.outlets.settings import Outlets

QUEUE_MAX: Final = 1000
ATTEMPTS: Final = 5
FIRST_WAIT_S: Final = 0.1
"""Doubled twice after each attempt: 0.1, 0.4, 1.6, 6.4 seconds."""
TIMEOUT: Final = ClientTimeout(total=5.0)
SQS_REGION: Final = re.compile(
    r"(?:sqs\.)([a-z0-9-]+)\.amazonaws\.com|([a-z]{2}(?:-[a-z]+)+-\d)\.queue\.amazonaws\.com"
)

Send = Callable[[ClientSession, Event], Awaitable[int]]
"""Sends an event once; returns the HTTP status."""

log = logging.getLogger(__name__)


class Courier:
    """Brings events to one destination."""

    def __init__(self, name: str, send: Send, told: Counter[tuple[str, str]]) -> None:
        self._name = name
        self._send = send
        self._told = told
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()

    def announce(self, event: Event) -> None:
        """Take an event; returns at once."""
        if len(self._waiting) == QUEUE_MAX:
            self._lose(self._waiting.popleft(), "too many are waiting")
        self._waiting.append(event)
        self._arrived.set()

    async def deliver(self, session: ClientSession) -> NoReturn:
        """Deliver what comes, in its order, until cancelled."""
        while True:
            while self._waiting:
                await self._deliver(session, self._waiting.popleft())
            self._arrived.clear()
            await self._arrived.wait()

    async def _deliver(self, session: ClientSession, event: Event) -> None:
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_WAIT_S * 4 ** (attempt - 1))
            try:
                status = await self._send(session, event)
            except (ClientError, TimeoutError, OSError) as error:
                why = f"{type(error).__name__}: {error}"
                continue
            if 200 <= status < 300:
                self._told[self._name, "delivered"] += 1
                return
            why = f"HTTP {status}"
        self._lose(event, f"{ATTEMPTS} attempts failed, the last with {why}")

    def _lose(self, event: Event, why: str) -> None:
        self._told[self._name, "lost"] += 1
        log.warning("%s: event %s (%s) is lost: %s", self._name, event["id"], event["detail-type"], why)


def couriers(outlets: Outlets, told: Counter[tuple[str, str]]) -> list[Courier]:
    """One courier for each destination of the settings; what becomes of events is counted in `told`."""
    found = []
    if outlets.webhook is not None:
        found.append(Courier("webhook", _webhook(outlets.webhook), told))
    if outlets.sqs_queue is not None:
        found.append(Courier("sqs", _sqs(outlets.sqs_queue, outlets), told))
    return found


def _webhook(url: str) -> Send:
    async def send(session: ClientSession, event: Event) -> int:
        async with session.post(url, json=event, timeout=TIMEOUT, allow_redirects=False) as answer:
            return answer.status

    return send


def _sqs(queue: str, outlets: Outlets) -> Send:
    """SendMessage in SQS's JSON protocol (SQS developer guide, "Making Query API requests using AWS JSON protocol")."""
    place = urlsplit(queue)
    endpoint = f"{place.scheme}://{place.netloc}/"
    named = SQS_REGION.search(place.netloc)
    credentials = Credentials(outlets.sqs_access_key_id, outlets.sqs_secret_access_key)

    async def send(session: ClientSession, event: Event) -> int:
        message = {"QueueUrl": queue, "MessageBody": json.dumps(event)}
        if queue.endswith(".fifo"):
            message |= {"MessageGroupId": event["detail"]["key-id"], "MessageDeduplicationId": event["id"]}
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
        request = AWSRequest("POST", endpoint, headers, json.dumps(message).encode())
        region = event["region"] if named is None else named[1] or named[2]
        SigV4Auth(credentials, "sqs", region).add_auth(request)
        signed = dict(request.headers.items())
        async with session.post(endpoint, data=request.data, headers=signed, timeout=TIMEOUT) as answer:
            return answer.status

    return send
