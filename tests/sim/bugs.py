"""The bugs that are planted to see whether the simulator finds them: which text of byokd is replaced by what.

Each is a mistake that somebody could make, in the room where it would be made. The texts have to be found exactly once,
which `test_planted.py` sees to: who changes a line that a bug is planted in plants it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """One text of one file, and what stands there with the bug."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake, told as what byokd does with it."""

    name: str
    edits: tuple[Edit, ...]


def _bug(name: str, path: str, old: str, new: str, *more: Edit) -> Bug:
    return Bug(name, (Edit(f"byokd/{path}", old, new), *more))


_SAVED: Final = "change, _ = await self._save(before, with_import(after, running, now), orders, now)"

BUGS: Final[tuple[Bug, ...]] = (
    _bug(
        "the intent is not on disk before the call",
        "engine/cycle.py",
        _SAVED,
        "change, _ = conclude(before=before, after=with_import(after, running, now), orders=orders, now=now,"
        " epoch=self._epoch, new_id=self._new_id)",
    ),
    _bug(
        "a hold is disobeyed in an emergency",
        "decide/rules.py",
        "    if isinstance(hold, Absent):\n",
        "    if isinstance(hold, Absent) or the.emergency:\n",
    ),
    _bug(
        "a hold is disobeyed by a rotation",
        "decide/rules.py",
        "    if isinstance(hold, Absent):\n",
        "    if isinstance(hold, Absent) or (the.rotation and the.pending):\n",
    ),
    _bug(
        "a held key is probed",
        "decide/rules.py",
        "    held,\n    settling,\n",
        "    probes,\n    held,\n    settling,\n",
    ),
    _bug("a Disabled key is imported into", "decide/rules.py", "    not_ready,\n    hands_off,\n", "    not_ready,\n"),
    _bug("two imports keep no distance", "decide/rules.py", "    floor,\n    lost,\n", "    lost,\n"),
    _bug(
        "a used token is used again",
        "engine/cycle.py",
        "parameters = await self._kms.get_parameters(",
        "kept = self._gather.__dict__.setdefault('kept', {})\n"
        "                parameters = kept[arn] = kept.get(arn) or await self._kms.get_parameters(",
    ),
    _bug(
        "the boundaries of the tiers wake nobody",
        "decide/decide.py",
        "        moments += the.window.boundaries\n",
        "        pass\n",
    ),
    _bug(
        "a wait after a failure does not look at the deadline",
        "decide/backoff.py",
        "        wait = min(wait, (deadline - now) / EIGHTH)\n",
        "        pass\n",
    ),
    _bug(
        "due times stay as they were when the clock is set back",
        "engine/upkeep.py",
        "look_again=back,",
        "look_again=False,",
    ),
    _bug(
        "changed material is not noticed by its fingerprint",
        "engine/gather.py",
        "if not isinstance(known, Absent) and known != produced.fingerprint:",
        "if isinstance(known, str) and known.startswith('?'):",
    ),
    _bug(
        "a 200 counts as success, and nobody looks",
        "engine/cycle.py",
        "sent = replace(row, answered=True)",
        "sent = replace(row, answered=True, state=ImportState.DONE, finished_at=self._clock.now())",
    ),
    _bug(
        "a lost answer counts as success",
        "engine/record.py",
        "        case Remedy.LOOK_AGAIN:\n            return row\n",
        "        case Remedy.LOOK_AGAIN:\n            return replace(row, state=ImportState.DONE, finished_at=now)\n",
    ),
    _bug(
        "any reading shows an import",
        "decide/materials.py",
        "        return abs(one - other) <= TOLERANCE\n",
        "        return True\n",
    ),
    _bug(
        "nobody waits for a token",
        "decide/admit.py",
        "    wait = _seconds(1.0 + keep - tokens, bucket.quota, share, limit)\n",
        "    wait = 0.0\n",
    ),
    _bug(
        "a line that stood still sends all at once",
        "decide/admit.py",
        "return min(most, bucket.tokens + come)",
        "return min(quota.burst, bucket.tokens + come)",
    ),
    _bug(
        "a restart brings a burst",
        "decide/admit.py",
        "quota=quota, tokens=quota.burst, share=1.0",
        "quota=quota, tokens=quota.burst + 20, share=1.0",
        Edit(
            "byokd/decide/admit.py",
            "return min(most, bucket.tokens + come)",
            "return min(max(quota.burst, bucket.tokens), bucket.tokens + come)",
        ),
    ),
    Bug(
        "what a lane learned of its pace is forgotten at a restart",
        (
            Edit(
                "byokd/engine/upkeep.py",
                "self._pace.recall(await self._store.learned_paces(self._lane.id))",
                "self._pace.recall({})",
            ),
        ),
    ),
    _bug(
        "a suspended key is imported into",
        "decide/rules.py",
        '    if isinstance(order, Absent):\n        return None\n    by = f"suspended',
        "    if isinstance(order, Absent) or not isinstance(order.effective_at, Absent):\n"
        '        return None\n    by = f"suspended',
    ),
    _bug(
        "what is only to be reported is healed",
        "decide/rules.py",
        "    in_stock,\n    report_only,\n",
        "    in_stock,\n",
    ),
    _bug(
        "a lost answer settles for days",
        "decide/intents.py",
        "    limit = policy.settle_for if row.answered else min(policy.settle_for, UNANSWERED)\n",
        "    limit = policy.settle_for if row.answered else timedelta(days=3)\n",
    ),
    _bug(
        "nobody looks while nothing is due",
        "decide/decide.py",
        "moments = [the.now + the.policy.look_every]",
        "moments = [the.now + timedelta(days=3650)]",
    ),
    _bug(
        "the source is drilled no more",
        "decide/rules.py",
        "    probes,\n    drill,\n",
        "    probes,\n",
    ),
    _bug(
        "a wake that comes during a turn is forgotten",
        "engine/turns.py",
        "        return ref in self._woken\n",
        "        return False\n",
    ),
    _bug(
        "a loop sleeps past what a turn brought",
        "engine/lane.py",
        "if self._looks_until is None or decision.wake_at < self._looks_until:",
        "if self._looks_until is None:",
    ),
    _bug(
        "a notice that failed is not offered again",
        "engine/notify.py",
        "[_tried(notice, now, not_before=again_at) for notice in failed]",
        "[_tried(notice, now, sent_at=now) for notice in failed]",
    ),
    _bug(
        "an alert is never resolved",
        "decide/transitions.py",
        "resolved=tuple(replace(each, resolved_at=now) for kind, each in known.items() if kind not in true),",
        "resolved=(),",
    ),
    _bug(
        "an alert says for ever what it said first",
        "engine/record.py",
        "        reworded=conditions.reworded,\n",
        "",
    ),
    _bug(
        "a routine renewal waits for no change window",
        "decide/rules.py",
        "    waits_for_window,\n    renewal_due,\n",
        "    renewal_due,\n",
    ),
    _bug(
        "change windows open an hour late",
        "decide/rules.py",
        "    opens = opens_at(the.policy.windows, the.now, by=the.window.urgent_at)\n    if opens <= the.now:\n",
        "    opens = opens_at(the.policy.windows, the.now - timedelta(hours=1), by=the.window.urgent_at)\n"
        "    opens = opens + timedelta(hours=1) if the.policy.windows else opens\n    if opens <= the.now:\n",
    ),
    _bug(
        "an order is over when its import begins",
        "engine/cycle.py",
        _SAVED,
        "begun = tuple(replace(each, state=OrderState.DONE, closed_at=now) for each in after.ledger.open_orders"
        " if each.id == wanted.order_id)\n"
        "        change, _ = await self._save(before, with_import(after, running, now), (*orders, *begun), now)",
    ),
    _bug(
        "nobody hears that the pace is not enough",
        "engine/foresight.py",
        "condition = slack_condition(ahead, lane.min_slack, every=every)",
        "condition = slack_condition(ahead, lane.min_slack, every=every) if every < 0 else None",
    ),
    _bug(
        "nobody hears of a source that does not answer",
        "decide/conditions.py",
        '    if proof.code == "source_unreadable":\n',
        '    if proof.code == "source_unreadable":\n        return None\n',
    ),
    _bug(
        "a ValidTo that somebody brought nearer is not seen",
        "decide/materials.py",
        "            return shown\n    return last\n",
        "            both = isinstance(shown, datetime) and isinstance(last, datetime)\n"
        "            return max(shown, last) if both else shown\n    return last\n",
    ),
    _bug(
        "a lost lease is a trouble like any other",
        "engine/lane.py",
        "            except LeaseLost:\n                raise\n            except ByokdError as error:\n"
        '                await self._trouble("looks", error)\n                continue\n',
        '            except ByokdError as error:\n                await self._trouble("looks", error)\n'
        "                continue\n",
        Edit(
            "byokd/engine/lane.py",
            "        except LeaseLost:\n            raise\n        except ByokdError as error:\n            log.error(",
            "        except ByokdError as error:\n            log.error(",
        ),
    ),
    _bug(
        "material that never ends is renewed",
        "decide/rules.py",
        "    if the.window is None:\n        return Verdict(reason=Reason.NEVER_EXPIRES",
        "    last = the.snapshot.ledger.last_success_at\n"
        "    if the.window is None and isinstance(last, datetime) and last + the.policy.renew_before < the.now:\n"
        '        return wanted(the, Reason.RENEWAL_DUE, "is old")\n'
        "    if the.window is None:\n        return Verdict(reason=Reason.NEVER_EXPIRES",
    ),
    _bug(
        "only the process that asked sees a rotation done",
        "decide/orders.py",
        "((isinstance(at, datetime) and order.created_at <= at + CLOCKS_DIFFER) or _made_for(order, before, view))",
        "isinstance(at, datetime) and order.created_at <= at + CLOCKS_DIFFER"
        " and isinstance(order.effective_at, datetime)",
    ),
    _bug(
        "KMS's clock is not believed",
        "engine/time.py",
        "            self.correction = least\n",
        "            pass\n",
    ),
    _bug(
        "the forecast knows no change windows",
        "decide/ahead.py",
        "group = policy.windows if tier is Tier.DUE and course.end is not None else ()",
        "group: _Windows = ()",
    ),
    _bug(
        "the forecast forgets that renewals are spread",
        "decide/ahead.py",
        "due, urgent = max(0.0, self._s(frame.renew_at)), self._s(frame.urgent_at)",
        "due, urgent = max(0.0, end - key.policy.renew_before.total_seconds()), self._s(frame.urgent_at)",
    ),
    _bug(
        "of two answers that differ the later is believed",
        "decide/decide.py",
        "    if (nearer := the.nearer_expiry) is not None:\n",
        "    if (nearer := the.nearer_expiry) is not None and nearer <= the.now:\n",
    ),
    _bug(
        "news of a lane wait for each other for a day",
        "decide/gathering.py",
        "    longest = audience.gather_for\n",
        "    longest = audience.gather_for * 24\n",
    ),
    _bug(
        "a message tells of the first of its keys alone",
        "engine/notify.py",
        "                notices=part,\n",
        "                notices=part[:1],\n",
    ),
    _bug(
        "routine work leaves no reserve",
        "engine/pace.py",
        "        self._kept = {tier: kept(lane, tier) for tier in Tier}\n",
        "        self._kept = dict.fromkeys(Tier, 0.0)\n",
    ),
    _bug(
        "ImportKeyMaterial waits for no token",
        "engine/cycle.py",
        'self._pace.request("ImportKeyMaterial"):',
        'self._pace.request("ImportKeyMaterial", admitted=True):',
    ),
    _bug("a refusal slows nobody down", "decide/admit.py", "SLOWDOWN: Final = 0.5\n", "SLOWDOWN: Final = 1.0\n"),
    _bug(
        "routine goes before urgent",
        "facts/ledger.py",
        "            return 10 * MOST_PRIORITY\n",
        "            return 30 * MOST_PRIORITY\n",
    ),
    _bug(
        "a priority is turned round",
        "facts/ledger.py",
        "            return 21 * MOST_PRIORITY - priority\n",
        "            return 21 * MOST_PRIORITY + priority\n",
    ),
    _bug(
        "the nearest deadline does not go first",
        "facts/ledger.py",
        "return self.rank, self.deadline, self.id\n",
        "return self.rank, self.not_before, self.id\n",
    ),
    _bug(
        "a lane learns while it is idle",
        "decide/admit.py",
        "waited = min(at, bucket.wanted_until) - bucket.at - recovered",
        "waited = at - bucket.at - recovered",
    ),
    _bug(
        "what people put aside is looked at like anything else",
        "decide/verdict.py",
        "default=TAKEN_BACK)",
        "default=the.policy.look_every)",
    ),
    _bug(
        "a probe stands behind an import that waits in the queue",
        "engine/cycle.py",
        "            if any(isinstance(each.action, ProbeWanted) for each in decision.parts):\n"
        "                return await self._probe(before, after, orders)\n",
        "",
    ),
    _bug(
        "a change of state is not in the history",
        "decide/transitions.py",
        "    if isinstance(old, NeverLooked) or old.state is not seen.state:\n",
        "    if isinstance(old, NeverLooked):\n",
    ),
    _bug(
        "a loss of material is not in the history",
        "decide/transitions.py",
        "    if the.seen_lost and isinstance(was.lost_at, Absent):\n",
        "    if the.seen_lost and the.seen is None and isinstance(was.lost_at, Absent):\n",
    ),
    _bug(
        "what was deleted has lapsed, by the history",
        "decide/transitions.py",
        "event = HistoryEvent.MATERIAL_LAPSED if the.loss is Loss.LAPSED else HistoryEvent.MATERIAL_DELETED",
        "event = HistoryEvent.MATERIAL_LAPSED",
    ),
    _bug(
        "a key that nobody could look at is called Unavailable",
        "decide/transitions.py",
        "    if seen is None or seen is old:\n        return\n",
        "    if isinstance(the.snapshot.view, Blind) and not isinstance(before.view, Blind):\n"
        '        yield _entry(ref, now, HistoryEvent.STATE_CHANGED, f"Enabled{TO}Unavailable")\n'
        "    if seen is None or seen is old:\n        return\n",
        Edit(
            "byokd/decide/transitions.py",
            "import ABSENT, NEVER, Absent, Expiry,",
            "import ABSENT, NEVER, Absent, Blind, Expiry,",
        ),
    ),
)
