"""The laws about the history: it explains what became of a key in KMS, and claims nothing that never was.

Like those of `laws` they are held when a world is over. What a key was in KMS at any time is read off the model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final

from byokd.facts.key import ABSENT
from byokd.facts.ledger import HistoryEvent
from tests.kit.fake_keys import Key
from tests.kit.fake_source import proof_of
from tests.sim.clocks import at, seconds
from tests.sim.fleet import SimKey
from tests.sim.laws import BASE_S, Laws
from tests.sim.periods import Period, periods
from tests.sim.plan import HOUR_S, span

LAG_S: Final = 120.0
"""For so long readings may be behind without being in anybody's way."""
LOSSES: Final = (HistoryEvent.MATERIAL_LAPSED, HistoryEvent.MATERIAL_DELETED)


class Journal(Laws):
    """Judges a world that is over."""

    def hold(self) -> None:
        """Write every breach into the book."""
        for key in self.world.keys:
            for period in periods(key, self.end_s):
                self._explained(key, period)
                if period.lapsed or period.deleted:
                    self._lost(key, period)
            self._states(key)
            self._nothing_else(key)
            self._no_false_success(key)

    def _free_looks(self, key: SimKey, begin_s: float, end_s: float) -> Iterator[float]:
        """When byokd looked at a key with nothing in its way; what people keep it from, it looks at all the same."""
        looks, life = self.book.watch.looks[key.life.ref], key.life
        scopes = ("*", life.lane, life.ref, f"config {life.ref}")
        for at_s in looks[bisect_right(looks, begin_s + LAG_S) :]:
            if at_s > end_s - BASE_S:
                return
            if self.book.obstacles.calm(scopes, at_s - LAG_S, at_s + BASE_S):
                yield at_s

    def _states(self, key: SimKey) -> None:
        """A state in which KMS had a key when byokd looked is the last one in its history, soon afterwards."""
        lines = [(at_s, text) for at_s, event, text in key.life.entries if event is HistoryEvent.STATE_CHANGED]
        spans = [(at_s, each.state(at(at_s))) for at_s, each in _moments(key, self.end_s)]
        changes = [each for before, each in pairwise([(0.0, None), *spans]) if each[1] is not before[1]]
        for (since_s, state), (until_s, _) in pairwise([*changes, (self.end_s, None)]):
            look_s = next(self._free_looks(key, since_s, until_s), None)
            if look_s is None or state is None:
                continue
            told = [text for at_s, text in lines if at_s <= look_s + BASE_S][-1:]
            if not (told and told[0].endswith(f" → {state.value}")):
                text = f"{state.value} since {span(since_s)}, and the history says {told}"
                self._broken(key, "journal", look_s + BASE_S, text)
                return

    def _lost(self, key: SimKey, period: Period) -> None:
        """Material that byokd saw in a key, and then saw gone, is told as lapsed or as deleted."""
        lost_s, fingerprint = min(period.ends_s, period.until_s), period.began.fingerprint
        back_s = min((each.at_s for each in key.life.imports_of(fingerprint) if each.at_s > lost_s), default=self.end_s)
        known_s = max(self._free_looks(key, period.began.visible_s, lost_s), default=None)
        seen_s = next((at_s for at_s in self._free_looks(key, lost_s, back_s) if _shows_loss(key, at_s)), None)
        if known_s is None or seen_s is None or any(self.book.blurred(key.life, at_s) for at_s in (known_s, seen_s)):
            return
        places: list[str] = [proof_of(self.world.source.materials[each]).fingerprint for each in key.desired.locators]
        which = f"material {places.index(fingerprint) + 1}: " if len(places) > 1 else ""
        kinds = {HistoryEvent.MATERIAL_LAPSED if period.lapsed else HistoryEvent.MATERIAL_DELETED}
        # What was deleted and cannot be looked at before its ValidTo passes as lapsed; and a clock may be ahead.
        passes = not period.lapsed and seen_s >= period.ends_s - LAG_S
        if passes or not self.book.obstacles.calm(("*",), known_s, seen_s):
            kinds = {*LOSSES}
        told = (at_s for at_s, event, text in key.life.entries if event in kinds and text.startswith(which))
        if not any(known_s < at_s <= seen_s + BASE_S for at_s in told):
            text = f"lost at {span(lost_s)}, seen at {span(seen_s)}, and not told as {' or '.join(sorted(kinds))}"
            self._broken(key, "journal", seen_s + BASE_S, text)

    def _nothing_else(self, key: SimKey) -> None:
        """The history tells of no state that KMS did not have the key in, and of no loss where nothing was missing."""
        moments = list(_moments(key, self.end_s))
        for at_s, event, text in key.life.entries:
            if event is not HistoryEvent.STATE_CHANGED and event not in LOSSES:
                continue
            since_s = max((each_s for each_s, _ in moments if each_s <= at_s - HOUR_S), default=0.0)
            near = [(each_s, each) for each_s, each in moments if since_s <= each_s <= at_s + LAG_S]
            # A reading that is behind shows what a key was, and what of that has ended since.
            shown = [(shown_s, each) for each_s, each in near for shown_s in (each_s, max(each_s, at_s))]
            if event is HistoryEvent.STATE_CHANGED:
                true = any(text.endswith(f" → {each.state(at(shown_s)).value}") for shown_s, each in shown)
            else:  # to a clock that is ahead, a ValidTo has passed
                true = any(_misses(each, shown_s) for shown_s, each in shown)
                true = true or not self.book.obstacles.calm(("*",), at_s - HOUR_S, at_s)
            if not true:
                self._broken(key, "journal", at_s, f"{event.value} {text}: KMS never had that")

    def _explained(self, key: SimKey, period: Period) -> None:
        """The history explains each ValidTo."""
        began, free = period.began, self.book.obstacles.free
        scopes = self.book.scopes(key.life)
        known_s = self._known_s(key, period) if began.by_hand else began.visible_s
        until_s = min(period.until_s, period.ends_s)
        slack_s = HOUR_S + key.plan.look_s + BASE_S
        if not any(b - a > slack_s for a, b in free(scopes, known_s, until_s)) or not isinstance(
            began.expiry, datetime
        ):
            return
        wanted = f"{began.expiry:%Y-%m-%d %H:%M:%S}Z"
        # An import that showed later than KMS usually takes is told as a change, with the import as its cause.
        kinds = (HistoryEvent.EXPIRY_CHANGED, HistoryEvent.IMPORT_ADOPTED, HistoryEvent.IMPORT_DONE)
        if not any(wanted in text for _, event, text in key.life.entries if event in kinds):
            self._broken(
                key, "journal", until_s, f"nothing explains ValidTo {wanted} ({'hand' if began.by_hand else 'byokd'})"
            )

    def _no_false_success(self, key: SimKey) -> None:
        """No import counts as done that never reached its key."""
        ends = [seconds(each.expiry) for each in key.life.imports if isinstance(each.expiry, datetime)]
        for at_s, event, text in key.life.entries:
            if event not in (HistoryEvent.IMPORT_DONE, HistoryEvent.IMPORT_ADOPTED):
                continue
            if text == "to never":
                if not key.plan.never:
                    self._broken(key, "no false success", at_s, f"{event.value} {text}: nobody wanted that")
                continue
            claimed_s = seconds(datetime.fromisoformat(text.removeprefix("to ")))
            if not any(abs(claimed_s - end_s) <= 5 for end_s in ends):
                self._broken(key, "no false success", at_s, f"{event.value} {text}: KMS never saw it")


def _shows_loss(key: SimKey, at_s: float) -> bool:
    """Whether a look tells that material has gone: nothing lists an HMAC key's, and DescribeKey tells one thing."""
    then = [each for since_s, each in key.life.versions if since_s <= at_s]
    return not (key.plan.hmac and then and then[-1].deletion_at is not ABSENT)


def _moments(key: SimKey, end_s: float) -> Iterator[tuple[float, Key]]:
    """What a key was in KMS, and since when: it changes by what is done with it, and as its materials end."""
    for (since_s, each), (until_s, _) in pairwise([*key.life.versions, (end_s, None)]):
        assert each is not None, "the last is the end of the world alone"
        yield since_s, each
        ends = (seconds(known.expiry) for known in each.materials if isinstance(known.expiry, datetime))
        for end_of_one_s in sorted(ends):
            if since_s < end_of_one_s < until_s:
                yield end_of_one_s, each


def _misses(key: Key, at_s: float) -> bool:
    return any(each.expiry_at(at(at_s)) is ABSENT for each in key.materials)
