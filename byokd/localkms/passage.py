"""A request on its way through the wire, and the seam at which hostility takes a hand in it.

    received ─▶ verified ─▶ admitted ─▶ checked ─▶ performed ─▶ answered
    HTTP,       who asks,    admit()    before()   after()      told()
    operation   signature    quotas     body is    the change   bytes on the wire,
                                        AWS's      is on disk   or none
                                        shape

A Passage is what is known of one request so far: each stage fills in its own fields and later stages read them. An
Interference is called between the stages. It may wait (latency), raise Refusal (the client gets that answer), raise
Dropped (the client gets no answer and a reset) or Replaced (a page that is not KMS's), or, in `told`, drop the answer
after all or shorten it by `Passage.cut_after`. What it raises in `admit` and `before` happens with nothing changed;
what it raises in `after` happens with the change made and durable, as a client of a real service has to fear.

This file must know neither HTTP nor any rule of KMS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from byokd.localkms.errors import Refusal
from byokd.localkms.hostility.fate import KIND, Fate, Mishap
from byokd.localkms.keys import Key
from byokd.localkms.signatures import Caller


class Dropped(Exception):
    """The connection is to end here, without an answer."""


class Replaced(Exception):
    """Something that stands in front of KMS answers in its place, with a page that is not AWS JSON."""

    def __init__(self, status: int, page: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.page = page


@dataclass(slots=True, kw_only=True)
class Passage:
    """One request, as far as it has come. Never logged as a whole: `request` and `answer` may hold plaintext."""

    request_id: str
    """What the answer's `x-amzn-RequestId` says."""
    now: float
    """When it arrived on the KMS's own clock, epoch seconds."""
    source: str = ""
    """The client's address."""
    user_agent: str = ""
    operation: str = ""
    """Its name, such as DescribeKey. Empty: not one that exists here."""
    caller: Caller | None = None
    """From `verified` on. None: nobody known."""
    access_key_id: str = ""
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Its members, converted, from `checked` on."""
    answer: Mapping[str, Any] | None = field(default=None, repr=False)
    """The members of the answer, from `performed` on. None: none, or refused."""
    refusal: Refusal | None = None
    """Why it was refused, in `told`. None: it was not."""
    dropped: bool = False
    """Whether, in `told`, the connection ended without an answer."""
    replaced: Replaced | None = None
    """The page that stands in for the answer, in `told`. None: KMS answers itself."""
    fate: Fate = KIND
    """What hostility has in store for it."""
    mishap: Mishap = Mishap.NONE
    """What of that has come to pass: a call that was refused before has no answer for an error to replace."""
    find: Callable[[str], Key | None] | None = None
    """How its operation finds keys by their ARN. None: as they are now."""
    behind: bool = False
    """Whether it was shown a key as it was before."""
    date_at: float = 0.0
    """What the answer's `Date` says, epoch seconds; `now`, unless somebody shifts it."""
    cut_after: float | None = None
    """Share of the answer's body that is sent before the connection ends, 0 to below 1. None: all of it."""

    def saw_past(self) -> None:
        """It is shown a key as it was before."""
        self.behind = True


class Interference:
    """Takes a hand between the stages. This one does nothing: a request passes as the rules alone want it."""

    async def admit(self, passage: Passage) -> None:
        """Between verified and admitted: the caller and the operation are known, the body is not looked at.

        Raises: Refusal, such as ThrottlingException; Dropped.
        """

    async def before(self, passage: Passage) -> None:
        """Between checked and performed: the request has AWS's shape, and nothing has changed yet.

        Raises: Refusal; Dropped.
        """

    async def after(self, passage: Passage) -> None:
        """Between performed and answered: what the request changed is durable.

        Raises: Refusal; Dropped.
        """

    def told(self, passage: Passage) -> None:
        """Every request, once, whatever became of it, just before its answer leaves. Must not raise."""

    def forget(self) -> None:
        """The state was replaced (reset, restore): whatever is remembered about keys is void."""
