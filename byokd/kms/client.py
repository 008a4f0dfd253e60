"""One lane's aiobotocore client, and one call through it.

The client is opened at the first call, so that a missing profile or an instance role that is late at boot is an error
of that call and not of the daemon. It is opened anew after CredentialsInvalid: the SDK reads shared files once and
keeps what it found, while an operator repairs them under a daemon that runs for years. A client that was given up is
closed when the last call in flight on it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.exceptions import ClientError

from byokd import __version__
from byokd.errors import CredentialsInvalid, KmsUnreachable
from byokd.facts.key import ABSENT, Absent
from byokd.facts.policy import Lane
from byokd.kms.faults import Progress, mapped
from byokd.kms.identity import Identity, Session, beside, lane_session
from byokd.kms.quotas import read_request_quotas
from byokd.kms.regions import doubt_region
from byokd.kms.transport import SharedTrust
from byokd.ports import Clock, Skew

_progress: Final[ContextVar[Progress]] = ContextVar("progress")
"""The call that the running task is making; the SDK's events do not say which call they belong to."""


@dataclass(slots=True)
class _Opened:
    client: Any
    session: AioSession
    closing: AsyncExitStack
    calls: int = 0
    given_up: bool = False


class LaneClient:
    """Makes one lane's calls, each once and each within the lane's timeout."""

    def __init__(self, lane: Lane, *, clock: Clock, shared: Session, identity: Identity) -> None:
        self._lane = lane
        self._clock = clock
        self._shared = shared
        self._identity = identity
        self._config = lane_config(lane)
        if identity.transport is not None:
            self._config = self._config.merge(AioConfig(http_session_cls=identity.transport))
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None
        self._timeout_s = lane.call_timeout.total_seconds()
        self.skew: Skew | Absent = ABSENT
        """What the newest answer showed."""

    async def call(self, operation: str, members: dict[str, Any], *, changes: bool = False) -> dict[str, Any]:
        """Send one request and return its answer, as the SDK parsed it.

        `operation` is AWS's name. `changes` says that the request changes KMS.
        Raises: KmsError; AnswerLost only where `changes`.
        """
        progress = Progress()
        _progress.set(progress)
        opened: _Opened | None = None
        try:
            with self._mapped(operation, progress, changes=changes):
                async with asyncio.timeout(self._timeout_s):
                    opened = await self._acquire()
                    return await self._answer(operation, getattr(opened.client, xform_name(operation))(**members))
        except CredentialsInvalid:
            self._give_up(opened)
            raise
        except KmsUnreachable as error:
            if opened is not None and (doubt := await doubt_region(self._lane, opened.session)):
                raise type(error)(f"{error}; {doubt}") from error.__cause__
            raise
        finally:
            if opened is not None:
                await self._release(opened)

    async def request_quotas(self) -> dict[str, float]:
        """Requests a second that the account is allowed, by KMS operation. See `ports.Kms`."""
        progress = Progress()
        _progress.set(progress)
        with self._mapped("ListServiceQuotas", progress, changes=False):
            async with asyncio.timeout(self._timeout_s):
                where = beside(self._lane, "service-quotas", self._config)
                return await read_request_quotas(self._own_session(), where, _mark_sent)

    async def close(self) -> None:
        """Close the connections. Calls still in flight fail."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.closing.aclose()

    @contextmanager
    def _mapped(self, operation: str, progress: Progress, *, changes: bool) -> Iterator[None]:
        """`mapped`, and where the config says whose credentials turned out bad."""
        try:
            with mapped(operation, progress, changes=changes):
                yield
        except CredentialsInvalid as error:
            places = " and ".join(self._places(progress))
            raise CredentialsInvalid(f"{error}; check {places}" if places else str(error)) from error.__cause__

    def _places(self, progress: Progress) -> Iterator[str]:
        has_role = not isinstance(self._lane.role_arn, Absent)
        if has_role and progress.sent:
            return  # STS has just given what the service refuses
        if has_role and progress.asked == "AssumeRole":
            yield f"lanes.{self._lane.name}.role_arn, its trust policy and external_id"
        if not isinstance(self._lane.profile, Absent):
            yield f"lanes.{self._lane.name}.profile"

    async def _answer(self, operation: str, pending: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await pending
        except ClientError as error:
            if error.operation_name == operation:
                self._compare_clocks(error.response)
            raise
        self._compare_clocks(answer)
        return answer

    def _compare_clocks(self, answer: dict[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        if (sent_at := _moment(date)) is not None:
            self.skew = Skew(by=sent_at - self._clock.now(), at=self._clock.monotonic())

    async def _acquire(self) -> _Opened:
        if (opened := self._opened) is None:
            async with self._opening:
                if self._opened is None:
                    self._opened = await self._open()
                opened = self._opened
        opened.calls += 1
        return opened

    async def _release(self, opened: _Opened) -> None:
        opened.calls -= 1
        if opened.given_up and not opened.calls:
            await opened.closing.aclose()

    def _give_up(self, opened: _Opened | None) -> None:
        """Let the next call open a new client, unless another call has seen to that already."""
        if opened is not None:
            opened.given_up = True
            if self._opened is opened:
                self._opened = None

    def _own_session(self) -> AioSession:
        session = lane_session(
            self._lane, clock=self._clock, shared=self._shared, config=self._config, identity=self._identity
        )
        session.register("before-send", _mark_asked)
        return session

    async def _open(self) -> _Opened:
        session = self._own_session()
        endpoint = None if isinstance(self._lane.endpoint, Absent) else self._lane.endpoint
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                session.create_client("kms", region_name=self._lane.region, endpoint_url=endpoint, config=self._config)
            )
            client.meta.events.register("before-send.kms", _mark_sent)
            # One attempt is all there is: asking after each answer whether to retry would be for nothing.
            client.meta.events.unregister("needs-retry.kms", unique_id="retry-config-kms")
            return _Opened(client=client, session=session, closing=stack.pop_all())


@lru_cache(maxsize=16)  # a header stands for a second, and lanes send many requests in one
def _moment(date: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    # RFC 5322 has "-0000" for a time in UTC whose place is not known, and gives a naive datetime for it.
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _mark_asked(event_name: str, **_: Any) -> None:
    _progress.get().asked = event_name.rpartition(".")[2]


def _mark_sent(**_: Any) -> None:
    _progress.get().sent = True


def lane_config(lane: Lane) -> AioConfig:
    """How a lane's client is set up: byokd's user agent, no retries, the lane's time limits and connections."""
    return AioConfig(
        # The SDK builds its own user agent anew for each call, at a quarter of the call's CPU.
        user_agent=f"byokd/{__version__}",
        # The lane is the only one that retries: it knows quotas and deadlines, the SDK does not.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=lane.connect_timeout.total_seconds(),
        read_timeout=lane.call_timeout.total_seconds(),
        max_pool_connections=lane.max_in_flight,
        http_session_cls=SharedTrust,
        use_fips_endpoint=lane.fips,
        use_dualstack_endpoint=lane.dual_stack,
    )
