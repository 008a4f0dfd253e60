"""What each question is answered with, over HTTP or without it.

A `Desk` turns a question (query parameters as text) into an `Answer`: a document and the HTTP status it has. The API
hands its requests to a desk over the daemon's store; the command line, when the daemon is down, keeps a desk of its
own over the same file. So both give the same document, and refuse the same bad input in the same words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from byokd.decide.admit import learned_of
from byokd.decide.period import rotated_first
from byokd.errors import OperatorError
from byokd.facts.change import KeyFilter, KeyLine
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, Absent, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Lane
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import Snapshot
from byokd.ports import Store
from byokd.web import documents, drift
from byokd.web.documents import Document
from byokd.web.plan import lane_plan, next_rotation
from byokd.web.why import explained_now, explained_then, moment_asked

Query = Mapping[str, str]
Cursor = Callable[[KeyLine], str]
"""Where a list goes on after this line: `byokd.store.views.cursor`."""

DEFAULT_ROWS: Final = 100
MAX_ROWS: Final = 1000
"""Rows of one answer; more come page by page (`after`)."""
PAGE: Final = 2000
"""Keys that a plan reads at once."""
MAX_TEXT: Final = 2048
"""Characters of one parameter: the longest thing asked for is an ARN."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A document, and what HTTP says of it."""

    document: Document
    status: int = 200


@dataclass(frozen=True, slots=True)
class NotOneKey:
    """A name that means no key, or several."""

    name: str
    candidates: tuple[KeyRef, ...]

    def __str__(self) -> str:
        if not self.candidates:
            by_arn = (
                "; if the config names it by ARN, `byokd find` tells which" if self.name.startswith("alias/") else ""
            )
            return f"byokd manages no key named {self.name!r}{by_arn}"
        return f"{self.name!r} names {len(self.candidates)} keys: {', '.join(self.candidates)}"

    @property
    def step(self) -> str:
        """What a person does next."""
        if self.candidates:
            return "Give the ARN of the key meant."
        return "`byokd keys` lists the keys that the config names, `byokd find` all that there are in AWS."


async def one_key(store: Store, name: str) -> KeyRef | NotOneKey:
    """The one key that a person means by `name`: its ref wins over an id or alias that others have too."""
    found = await store.find(name)
    if KeyRef(name) in found:
        return KeyRef(name)
    return found[0] if len(found) == 1 else NotOneKey(name, found)


def lane_meant(lanes: Sequence[Lane], wanted: str) -> str:
    """The id of a lane that a person means by its name or id; what was not asked for is any.

    Raises: OperatorError where the config has no such lane.
    """
    if not wanted or not lanes:
        return wanted
    for lane in lanes:
        if wanted in (lane.name, lane.id):
            return lane.id
    names = ", ".join(lane.name for lane in lanes)
    raise OperatorError(f"no lane is called {wanted!r}: there are {names}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Answers questions from a store. Raises `OperatorError` on bad input, and what the store raises."""

    store: Store
    now: Callable[[], datetime]
    cursor: Cursor
    daemon: Callable[[], Mapping[str, Any] | None]
    """What the daemon says about itself; None where it is not the daemon that answers."""
    lanes: Callable[[], Sequence[Lane]] = tuple
    """Those of the config in force."""

    async def status(self, query: Query) -> Answer:
        """How the fleet is, in figures, with the conditions of lanes and the daemon among those open."""
        _only(query)
        daemon = self.daemon()
        open_ = await self.store.open_conditions()
        return Answer(
            {
                "at": documents.stamp(self.now()),
                "daemon": None if daemon is None else _plain(daemon),
                "counts": documents.counts(await self.store.counts()),
                "conditions": [documents.condition(each) for each in open_[:DEFAULT_ROWS]],
            }
        )

    async def keys(self, query: Query) -> Answer:
        """Keys by time left, least first; `next` is the `after` of the following page, null on the last."""
        _only(query, "fleet", "lane", "tier", "text", "condition", "limit", "after")
        tier = query.get("tier", "")
        if tier and tier not in set(Tier):
            raise OperatorError(f"no tier is called {tier!r}: there are {', '.join(Tier)}")
        lane = lane_meant(self.lanes(), query.get("lane", ""))
        condition = query.get("condition", "")
        if condition and condition not in set(ConditionKind):
            raise OperatorError(f"no condition is called {condition!r}: there are {', '.join(ConditionKind)}")
        which = KeyFilter(
            fleet=query.get("fleet", ""), lane=lane, tier=tier, text=query.get("text", ""), condition=condition
        )
        limit = _limit(query)
        lines = await self.store.list_keys(which, limit=limit, after=query.get("after", ""))
        return Answer(
            {
                "at": documents.stamp(self.now()),
                "keys": [documents.key_line(line) for line in lines],
                "next": self.cursor(lines[-1]) if len(lines) == limit else None,
            }
        )

    async def key(self, name: str, query: Query) -> Answer:
        """All about one key."""
        _only(query)
        ref = await one_key(self.store, name)
        if isinstance(ref, NotOneKey):
            return _not_one(ref)
        snapshots = await self.store.snapshots([ref])
        if not snapshots:  # it left the config between the two readings
            return _not_one(NotOneKey(name, ()))
        sheet = documents.key_sheet(snapshots[0], await self._line(snapshots[0]))
        return Answer({"at": documents.stamp(self.now()), "key": sheet})

    async def why(self, name: str, query: Query) -> Answer:
        """What is known of one key and since when, and why it was decided on as it was; now, or at an earlier `at`."""
        _only(query, "at")
        ref = await one_key(self.store, name)
        if isinstance(ref, NotOneKey):
            return _not_one(ref)
        now = self.now()
        at = moment_asked(query["at"], now) if query.get("at") else now
        past = await self.store.past(ref, at=at)
        if past is None or (not query.get("at") and isinstance(past.line, Absent)):
            return _not_one(NotOneKey(name, ()))
        told = explained_then(past, at) if query.get("at") else explained_now(past, now)
        return Answer({"at": documents.stamp(now), "why": told})

    async def key_history(self, name: str, query: Query) -> Answer:
        """One key's life, newest first."""
        _only(query, "limit")
        ref = await one_key(self.store, name)
        return _not_one(ref) if isinstance(ref, NotOneKey) else await self._history(ref, query)

    async def history(self, query: Query) -> Answer:
        """The life of all keys, newest first."""
        _only(query, "limit")
        return await self._history(None, query)

    async def queue(self, query: Query) -> Answer:
        """Open imports as they will be served; with `all`, closed ones too, newest first."""
        _only(query, "all", "limit")
        rows = await self.store.imports(only_open=not _flag(query, "all"), limit=_limit(query))
        return Answer({"at": documents.stamp(self.now()), "imports": [documents.import_row(row) for row in rows]})

    async def orders(self, query: Query) -> Answer:
        """Open orders, newest first, of all keys or of one; with `all`, closed ones too."""
        _only(query, "key", "all", "limit")
        ref: KeyRef | None = None
        if name := query.get("key", ""):
            found = await one_key(self.store, name)
            if isinstance(found, NotOneKey):
                return _not_one(found)
            ref = found
        rows = await self.store.orders(ref=ref, only_open=not _flag(query, "all"), limit=_limit(query))
        return Answer({"at": documents.stamp(self.now()), "orders": [documents.order(row) for row in rows]})

    async def plan(self, query: Query) -> Answer:
        """When the keys of each lane will be renewed at the present pace, and what would help where that is late.

        Of one key where one is named: the whole lane is reckoned with, and its renewals alone are listed.
        """
        _only(query, "key", "lane", "limit")
        wanted, only = lane_meant(self.lanes(), query.get("lane", "")), None
        if name := query.get("key", ""):
            if wanted:
                raise OperatorError("a key is in one lane: name the key or the lane")
            found = await one_key(self.store, name)
            known = () if isinstance(found, NotOneKey) else await self.store.snapshots([found])
            if isinstance(found, NotOneKey) or not known:
                return _not_one(found if isinstance(found, NotOneKey) else NotOneKey(name, ()))
            wanted, only = known[0].desired.lane, found
        lanes = [lane for lane in self.lanes() if wanted in ("", lane.id)]
        now, limit = self.now(), _limit(query)
        plans = []
        for lane in lanes:
            prospects = await self._prospects(lane)
            learned = learned_of(lane.quotas, await self.store.learned_paces(lane.id))
            rotations = await self._rotations([each for each in prospects if only in (None, each.ref)], now, limit)
            plans.append(
                await asyncio.to_thread(
                    lane_plan, prospects, lane, now, limit=limit, learned=learned, rotations=rotations, only=only
                )
            )
        return Answer({"at": documents.stamp(now), "lanes": plans})

    async def _prospects(self, lane: Lane) -> list[Prospect]:
        found: list[Prospect] = []
        while page := await self.store.prospects(lane.id, limit=PAGE, after=found[-1].ref if found else ""):
            found += page
        return found

    async def _rotations(self, prospects: Sequence[Prospect], now: datetime, limit: int) -> list[Document]:
        """The first rotations by period: whole snapshots are read of those that are shown, and of no others."""
        refs = await asyncio.to_thread(rotated_first, prospects, now, limit=limit)
        known = await self.store.snapshots(refs)
        return [rotation for each in known if (rotation := next_rotation(each, now)) is not None]

    async def conditions(self, query: Query) -> Answer:
        """What a person may need to know, worst first."""
        _only(query, "subject", "limit")
        open_ = await self.store.open_conditions(query.get("subject", ""))
        rows = [documents.condition(each) for each in open_[: _limit(query)]]
        return Answer({"at": documents.stamp(self.now()), "conditions": rows})

    async def drift(self, query: Query) -> Answer:
        """What config, AWS as last seen, and journal say differently, worst first; and what was not compared."""
        _only(query, "limit")
        now, limit, open_ = self.now(), _limit(query), await self.store.open_conditions()
        left = await self.store.left_behind(now=now, limit=limit)
        searched = [lane for lane in self.lanes() if isinstance(lane.discover_every, Absent)]
        return Answer({"at": documents.stamp(now), **drift.report(open_, left, searched, limit=limit)})

    async def _history(self, ref: KeyRef | None, query: Query) -> Answer:
        entries = await self.store.history(ref, limit=_limit(query))
        rows = [documents.history_entry(entry) for entry in entries]
        return Answer({"at": documents.stamp(self.now()), "history": rows})

    async def _line(self, snapshot: Snapshot) -> KeyLine | Absent:
        """The key's line in the list: the narrowest filter that surely holds it, then the key itself."""
        text = snapshot.desired.name if isinstance(snapshot.arn, Absent) else snapshot.arn
        lines = await self.store.list_keys(KeyFilter(lane=snapshot.desired.lane, text=text), limit=MAX_ROWS)
        return next((line for line in lines if line.ref == snapshot.ref), ABSENT)


def _not_one(name: NotOneKey) -> Answer:
    document = {
        "code": "key_ambiguous" if name.candidates else "key_unknown",
        "error": str(name),
        "step": name.step,
        "candidates": list(name.candidates),
    }
    return Answer(document, 409 if name.candidates else 404)


def _only(query: Query, *known: str) -> None:
    """Refuse parameters that would otherwise be overlooked in silence, and texts beyond all use."""
    for name, value in query.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise OperatorError(f"unknown parameter {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        if len(value) > MAX_TEXT:
            raise OperatorError(f"{name} is longer than {MAX_TEXT} characters")


def _limit(query: Query) -> int:
    text = query.get("limit", str(DEFAULT_ROWS))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_ROWS):
        raise OperatorError(f"limit is {text!r}: it must be a whole number from 1 to {MAX_ROWS}")
    return int(text)


def _flag(query: Query, name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise OperatorError(f"{name} is {text!r}: it must be true or false")
    return text == "true"


def _plain(value: object) -> Any:
    """The daemon's own words in JSON: times become ISO 8601, what JSON does not know becomes text."""
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime():
            return documents.stamp(value)
        case Absent():
            return None
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)
