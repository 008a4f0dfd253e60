"""The wire: HTTP in, AWS JSON 1.1 out. The only file that knows HTTP.

    POST /   X-Amz-Target: TrentService.<operation>   Content-Type: application/x-amz-json-1.1
    200      the answer's members, or an empty body where the API answers nothing
    4xx/5xx  {"__type": "<code>", "message": "..."}

The way of a request, and the seam at which hostility takes a hand in it (passage.py says what may happen where)::

    received ─▶ verified ─▶ admitted ─▶ checked ─▶ performed ─▶ answered
    target,     body,       admit()    AWS's     before(), rules,   told(), then the bytes,
    type        signature              shape     disk, after()      all, a part or none of them

Every answer carries `x-amzn-RequestId` and a `Date` of the server's own clock. An answer leaves only when all that it
rests upon is on disk. Whatever goes wrong inside becomes KMSInternalException and one line in the log: no client sees a
stack trace, and no log sees a request's body, which may hold plaintext.

Protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import asyncio
import logging
import random
from base64 import b64encode
from email.utils import formatdate
from typing import Any, Final

import orjson
from aiohttp import web

from byokd.localkms.calls import Answer, Call
from byokd.localkms.clock import real_now
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keyring import Keyring
from byokd.localkms.model import request_check
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.options import Options
from byokd.localkms.passage import Dropped, Interference, Passage, Replaced
from byokd.localkms.persistence import Journal
from byokd.localkms.signatures import Verifier
from byokd.localkms.sigv4 import Message
from byokd.localkms.wrapping import WrappingKeys

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TARGET_PREFIX: Final = "TrentService."
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger(__name__)


def _blob(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)


_digits: Final = random.Random()  # noqa: S311  # a request id is no secret


class Wire:
    """Answers HTTP requests from the live state."""

    def __init__(
        self,
        options: Options,
        keyring: Keyring,
        journal: Journal,
        wrapping: WrappingKeys,
        interference: Interference,
    ) -> None:
        self._clock = options.clock
        self._verifier = Verifier(options.signatures, default_account=options.account)
        self._limits = options.limits
        self._pace = options.pace
        self._keyring = keyring
        self._journal = journal
        self._wrapping = wrapping
        self._interference = interference
        self._operations = {TARGET_PREFIX + name: (name, request_check(name), run) for name, run in OPERATIONS.items()}
        self._date = (0, "")

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Never raises but when the connection or the server ends."""
        now = self._clock.now()
        passage = Passage(request_id=_fresh_id(), now=now, date_at=now, source=http.remote or "")
        status, body = 200, b""
        try:
            passage.answer = await self._passed(http, passage)
            body = b"" if passage.answer is None else orjson.dumps(passage.answer, default=_blob)
        except Refusal as refusal:
            passage.refusal = refusal
        except Dropped:
            passage.dropped = True
        except Replaced as instead:
            passage.replaced = instead
        except web.HTTPRequestEntityTooLarge:
            message = f"A request may have at most {self._limits.body_bytes} bytes."
            passage.refusal = Refusal(Fault.REQUEST_TOO_LARGE, message)
        except web.RequestPayloadError:
            passage.refusal = Refusal(Fault.SERIALIZATION, "The request body could not be read.")
        except TimeoutError:
            message = f"The request body did not arrive within {self._limits.body_s:g} seconds."
            passage.refusal = Refusal(Fault.REQUEST_TIMEOUT, message)
        except ConnectionError:
            raise  # nobody is left to answer
        except Exception:
            log.exception("a request failed for a reason of the server's own")
            passage.refusal = Refusal(Fault.INTERNAL)
        if passage.refusal is not None:
            status, body = passage.refusal.fault.status, _refused(passage.refusal)
        self._interference.told(passage)
        if passage.replaced is not None:
            return web.Response(status=passage.replaced.status, body=passage.replaced.page, content_type="text/html")
        return await self._sent(http, passage, status, body)

    async def _passed(self, http: web.BaseRequest, passage: Passage) -> Answer:
        """Lead a request through its stages to its answer."""
        headers = http.headers
        known = self._operations.get(headers.get("X-Amz-Target", ""))
        # Comparing the header as every client writes it saves taking it apart.
        if (
            known is None
            or http.method != "POST"
            or (headers.get("Content-Type") != CONTENT_TYPE and http.content_type != CONTENT_TYPE)
        ):
            raise Refusal(Fault.UNKNOWN_OPERATION)
        passage.operation, check, run = known
        passage.user_agent = headers.get("User-Agent", "")
        body = await self._body(http)
        path, _, query = http.raw_path.partition("?")
        message = Message(http.method, path, query, headers, body)
        caller, passage.access_key_id = self._verifier.identify(message, real_now=real_now(), own_now=passage.now)
        passage.caller = caller
        await self._interference.admit(passage)
        passage.request = request = check(body)
        await self._interference.before(passage)
        self._keyring.expire(passage.now)
        call = Call(
            operation=passage.operation,
            caller=caller,
            now=passage.now,
            request=request,
            keyring=self._keyring,
            wrapping=self._wrapping,
            seal=self._journal.seal,
            pace=self._pace,
            find=passage.find,
            token_s=passage.fate.token_s,
        )
        answer = await run(call)
        if not self._journal.settled:
            await self._journal.flush()
        passage.answer = answer
        await self._interference.after(passage)
        return answer

    async def _body(self, http: web.BaseRequest) -> bytes:
        """The body. Raises: TimeoutError when it takes too long."""
        if http.content.is_eof():  # it came with the head, as nearly always
            return await http.read()
        async with asyncio.timeout(self._limits.body_s):
            if http.headers.get("Expect", "").lower() == "100-continue":  # it waits until it is asked for its body
                await http.writer.write(CONTINUE)
                http.writer.output_size = 0  # else aiohttp takes the answer for begun
            return await http.read()

    async def _sent(self, http: web.BaseRequest, passage: Passage, status: int, body: bytes) -> web.StreamResponse:
        """The response, sent already where it is to end too early; aiohttp sends it where it is whole."""
        if passage.dropped:
            if http.transport is not None:
                http.transport.abort()
            return web.Response()  # goes nowhere: aiohttp sees the closed transport and ends the connection's task
        headers = {
            "Content-Type": CONTENT_TYPE,
            "x-amzn-RequestId": passage.request_id,
            "Date": self._http_date(passage.date_at),
        }
        if passage.cut_after is None:
            return web.Response(status=status, body=body, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        await response.prepare(http)
        await response.write(body[: int(len(body) * passage.cut_after)])
        if http.transport is not None:
            http.transport.close()  # sends what is written, and ends the connection before the promised length
        return response

    def _http_date(self, moment: float) -> str:
        """The Date header; written once a second, for it costs as much as a whole check."""
        second = int(moment)
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def _fresh_id() -> str:
    """A request id: a UUID as AWS writes it, at a tenth of uuid's price. It is no secret, and needs no system call."""
    digits = f"{_digits.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _refused(refusal: Refusal) -> bytes:
    told: dict[str, Any] = {"__type": refusal.fault}
    if refusal.message:
        # A message may quote a header, whose bytes need not be UTF-8: aiohttp hands those on as lone surrogates.
        told["message"] = refusal.message.encode(errors="backslashreplace").decode()
    return orjson.dumps(told)
