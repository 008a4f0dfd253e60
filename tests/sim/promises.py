"""The laws about what is due beside renewals: looks, answers to orders, explanations, notices.

Like those of `laws` they are held when a world is over, against what was seen of it.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Final

from byokd.facts.key import KeyState
from byokd.facts.ledger import HistoryEvent, OrderKind, OrderState
from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.laws import BASE_S, HEAL_S, Laws
from tests.sim.life import Imported
from tests.sim.plan import HOUR_S, span

NOTICE_S: Final = 1200.0
"""A notice that was not delivered is offered again every quarter of an hour at least."""
ANSWER_S: Final = 600.0
"""For an order that takes a look alone."""
TAKEN_BACK_S: Final = 2 * HOUR_S
QUARTER_S: Final = 900.0
OFTEN: Final = 120
"""Looks in a quarter of an hour: over twice what a wait of an eighth of the time left comes to, up to a deadline."""
FOR_AN_IMPORT: Final = 12
"""Looks from its beginning to its end, however long it takes to show."""


class Promises(Laws):
    """Judges a world that is over."""

    def hold(self) -> None:
        """Write every breach into the book."""
        for key in self.world.keys:
            self._looked_at(key)
            self._for_a_reason(key)
            self._answered(key)
            self._reported(key)
            self._rotated_once(key)
        self._explained()
        self._delivered()

    def _looked_at(self, key: SimKey) -> None:
        """Every key is looked at every `look_every`, whatever else happens; every two hours while it is Disabled."""
        self._looked_at_every(key, key.plan.look_s, 0.0, self.end_s)
        changes = [(at_s, text) for at_s, event, text in key.life.entries if event is HistoryEvent.STATE_CHANGED]
        for (since_s, text), (until_s, _) in pairwise([*changes, (self.end_s, "")]):
            if text.endswith(KeyState.DISABLED):  # as far as byokd knows: it is to see when that is over
                self._looked_at_every(key, min(key.plan.look_s, TAKEN_BACK_S), since_s, until_s)

    def _looked_at_every(self, key: SimKey, every_s: float, begin_s: float, end_s: float) -> None:
        limit_s = every_s + HOUR_S + BASE_S
        looks = (each for each in self.book.watch.looks.get(key.life.ref, []) if begin_s < each < end_s)
        for last_s, next_s in pairwise([begin_s, *looks, end_s]):
            if next_s - last_s <= limit_s:
                continue
            for a, b in self.book.obstacles.free(self.book.scopes(key.life), last_s, next_s):
                if b - a > limit_s:
                    self._broken(key, "looked at", a + limit_s, f"not looked at since {span(last_s)}")
                    return

    def _for_a_reason(self, key: SimKey) -> None:
        """No key is looked at again and again while nothing comes of it, whatever is in its way."""
        looks, first = self.book.watch.looks.get(key.life.ref, []), 0
        begun = [each.begin_s for each in self.book.watch.sent if each.ref == key.life.ref]
        for last, at_s in enumerate(looks):
            while looks[first] < at_s - QUARTER_S:
                first += 1
            if (often := last - first + 1) <= OFTEN:
                continue
            imports = sum(looks[first] - QUARTER_S <= each <= at_s for each in begun)
            if often > OFTEN + FOR_AN_IMPORT * imports:
                text = f"looked at {often} times since {span(looks[first])}, with {imports} imports begun"
                self._broken(key, "looked at for a reason", at_s, text)
                return

    def _answered(self, key: SimKey) -> None:
        """An order is answered soon, and one to import counts as done when the import is."""
        for asked in self.book.watch.orders.values():
            if asked.order.ref != key.life.ref:
                continue
            limit_s = {
                OrderKind.RELEASE: ANSWER_S,
                OrderKind.IMPORT: HEAL_S + self._queue_s(key),
                OrderKind.RESUME: HEAL_S + self._queue_s(key),
            }.get(asked.order.kind)
            if limit_s is None:
                continue
            end_s = self.end_s if asked.closed_s is None else asked.closed_s
            for a, b in self.book.obstacles.free(self.book.scopes(key.life), asked.at_s, end_s):
                if b - a > limit_s:
                    text = f"{asked.order.kind.value} of {span(asked.at_s)} has no answer"
                    self._broken(key, "orders are answered", a + limit_s, text)
                    break
            if asked.order.kind is OrderKind.RELEASE or asked.order.state is not OrderState.DONE:
                continue
            # Whether an import came through that changes no ValidTo, its answer alone tells; the weather may lose it.
            scopes = ("*", key.life.lane) if key.plan.never else ("*",)
            if asked.off_by_s or not self.book.obstacles.calm(scopes, asked.at_s - 1, end_s):
                continue
            if not any(asked.at_s - 2 <= each.at_s <= end_s for each in key.life.imports if not each.by_hand):
                text = f"{asked.order.kind.value} of {span(asked.at_s)} counts as done, and nothing was imported"
                self._broken(key, "no false success", end_s, text)

    def _reported(self, key: SimKey) -> None:
        """Where the policy says to report a loss, nothing is imported unless somebody asks for it."""
        if key.plan.heals_lapse and key.plan.heals_delete:
            return
        for last, each in pairwise(key.life.imports_of(key.life.fingerprint)):
            if each.by_hand or each.ordered or each.late or isinstance(each.before, datetime):
                continue
            if self._lost_for_certain(key, last, each):
                self._broken(
                    key, "reports only", each.at_s, f"healed, though the policy says to report ({each.before})"
                )

    def _lost_for_certain(self, key: SimKey, last: Imported, each: Imported) -> bool:
        """Whether material was lost in a way that is only to be reported, and byokd had the time to see it."""
        if not isinstance(last.expiry, datetime) or key.life.suspensions or key.life.stock or key.plan.other_material:
            return False
        ends_s = seconds(last.expiry)
        gone_s = min((at_s for at_s, _ in key.life.deleted if last.at_s <= at_s < each.at_s), default=ends_s)
        # What was deleted and is not looked at before its ValidTo passes as lapsed.
        seen = any(gone_s < at_s < ends_s - 120 for at_s in self.book.watch.looks[key.life.ref])
        heals = key.plan.heals_delete if gone_s < ends_s else key.plan.heals_lapse
        if gone_s < ends_s and not seen:
            heals = heals or key.plan.heals_lapse
        # What somebody imported for less, and ended before it was seen, passes as deleted before its ValidTo.
        if last.by_hand and not self._looked(key, last.visible_s, gone_s):
            heals = heals or key.plan.heals_delete
        # An import that was under way when the material went is nobody's mistake.
        calm = self.book.obstacles.calm(("*", key.life.lane), gone_s - HOUR_S, each.at_s)
        return not heals and calm and each.at_s > gone_s + HOUR_S

    def _rotated_once(self, key: SimKey) -> None:
        """For one order a key is rotated once."""
        orders = [each for each in self.book.watch.orders.values() if each.order.ref == key.life.ref]
        rotations = [each.order for each in orders if each.order.kind is OrderKind.ROTATE]
        asked = sum(each.state is not OrderState.REFUSED for each in rotations)
        done = self.book.watch.rotations.get(key.life.ref, [])
        if len(done) > asked:
            self._broken(key, "rotates once", done[-1], f"rotated {len(done)} times for {asked} orders")

    def _explained(self) -> None:
        """What was sent and not seen is explained as soon as KMS can be looked at."""
        keys = {key.life.ref: key for key in self.world.keys}
        for sent in self.book.watch.sent:
            key = keys[sent.ref]
            # Who could not look for hours waits up to an hour before the next look, as before any other.
            limit_s = key.plan.settle_s + HOUR_S + BASE_S + self._queue_s(key)
            end_s = self.end_s if sent.end_s is None else sent.end_s
            for a, b in self.book.obstacles.free(self.book.scopes(key.life), sent.begin_s, end_s):
                if b - a > limit_s:
                    self._broken(key, "explained", a + limit_s, f"what became of the import of {span(sent.begin_s)}?")
                    break

    def _delivered(self) -> None:
        """A notice arrives as soon as its channel lets it, unless what is worse has overtaken it."""
        heard = {notice.id: at_s for told in self.book.told.values() for at_s, notice in reversed(told.heard)}
        for notice, since_s in self.book.watch.notices.items():
            end_s = heard.get(notice, self.book.watch.overtaken.get(notice, self.end_s))
            if any(b - a > NOTICE_S for a, b in self.book.obstacles.free(("voice", "*"), since_s, end_s)):
                self.book.broken("alerts arrive", "*", f"a notice of {span(since_s)} was not delivered", at_s=since_s)
