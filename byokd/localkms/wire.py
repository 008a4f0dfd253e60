"""The wire: HTTP in, AWS JSON 1.1 out. The only file that knows HTTP.

    POST /   X-Amz-Target: TrentService.<operation>   Content-Type: application/x-amz-json-1.1
    200      the answer's members, or an empty body where the API answers nothing
    4xx/5xx  {"__type": "<code>", "message": "..."}

Every answer carries `x-amzn-RequestId` and a `Date` of the server's own clock. An answer leaves only when all that it
rests upon is on disk. Whatever goes wrong inside becomes KMSInternalException and one line in the log: no client sees a
stack trace, and no log sees a request's body, which may hold plaintext.

Protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import json
import logging
import uuid
from base64 import b64encode
from email.utils import formatdate
from typing import Any, Final

from aiohttp import web

from byokd.localkms.calls import Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keyring import Keyring
from byokd.localkms.model import request_check
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.options import Options
from byokd.localkms.persistence import Journal
from byokd.localkms.signatures import caller_of
from byokd.localkms.wrapping import WrappingKeys

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TARGET_PREFIX: Final = "TrentService."
BODY_MAX_BYTES: Final = 1024 * 1024
"""What a request may send; aiohttp's own default, and far above what the model's limits allow in sum."""

log = logging.getLogger(__name__)


def _blob(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)


JSON: Final = json.JSONEncoder(default=_blob)  # made once: json.dumps would make one for every answer


class Wire:
    """Answers HTTP requests from the live state."""

    def __init__(self, options: Options, keyring: Keyring, journal: Journal, wrapping: WrappingKeys) -> None:
        self._clock = options.clock
        self._account = options.account
        self._keyring = keyring
        self._journal = journal
        self._wrapping = wrapping
        self._operations = {TARGET_PREFIX + name: (name, request_check(name), run) for name, run in OPERATIONS.items()}
        self._date = (0, "")

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Never raises but when the connection or the server ends."""
        now = self._clock.now()
        status = 200
        try:
            body = await self._answer(http, now)
        except Refusal as refusal:
            status, body = refusal.fault.status, _refused(refusal)
        except web.HTTPRequestEntityTooLarge:
            too_large = Refusal(Fault.REQUEST_TOO_LARGE, f"A request may have at most {BODY_MAX_BYTES} bytes.")
            status, body = too_large.fault.status, _refused(too_large)
        except web.RequestPayloadError:
            torn = Refusal(Fault.SERIALIZATION, "The request body could not be read.")
            status, body = torn.fault.status, _refused(torn)
        except ConnectionError:
            raise  # nobody is left to answer
        except Exception:
            log.exception("a request failed for a reason of the server's own")
            status, body = Fault.INTERNAL.status, _refused(Refusal(Fault.INTERNAL))
        headers = {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": str(uuid.uuid4()), "Date": self._http_date(now)}
        return web.Response(status=status, body=body, headers=headers)

    async def _answer(self, http: web.BaseRequest, now: float) -> bytes:
        known = self._operations.get(http.headers.get("X-Amz-Target", ""))
        if known is None or http.content_type != CONTENT_TYPE:
            raise Refusal(Fault.UNKNOWN_OPERATION)
        name, check, run = known
        caller = caller_of(http.headers, default_account=self._account)
        request = check(await http.read())
        self._keyring.expire(now)
        call = Call(
            operation=name,
            caller=caller,
            now=now,
            request=request,
            keyring=self._keyring,
            wrapping=self._wrapping,
            seal=self._journal.seal,
        )
        answer = await run(call)
        if not self._journal.settled:
            await self._journal.flush()
        return b"" if answer is None else JSON.encode(answer).encode()

    def _http_date(self, now: float) -> str:
        """The Date header; written once a second, for it costs as much as a whole check."""
        second = int(now)
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def _refused(refusal: Refusal) -> bytes:
    told: dict[str, Any] = {"__type": refusal.fault}
    if refusal.message:
        told["message"] = refusal.message
    return JSON.encode(told).encode()
