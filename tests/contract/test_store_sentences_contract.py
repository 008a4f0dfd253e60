"""What every `ports.Store` promises about a condition of which only the sentence is another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from byokd.facts.condition import Condition, OpenCondition, Severity
from byokd.facts.key import ABSENT
from byokd.ports import Store
from tests.kit.builders import DAY
from tests.kit.clock import START
from tests.kit.store_fleet import REF, Fleet, condition, notice


def worded(text: str, before: OpenCondition | None = None) -> OpenCondition:
    """The condition with another sentence."""
    before = before or condition()
    told: Condition = replace(before.condition, detail=text)
    return replace(before, condition=told)


async def test_another_sentence_is_on_record_and_calls_for_no_notice(fleet: Fleet) -> None:
    """Its time for the next notices stays, be it for years: people are not told the same again in other words."""
    store, second = fleet.store, timedelta(seconds=1)
    await fleet.save(conditions=(condition(),))
    for again_at, by in ((START + DAY, START + DAY), (ABSENT, START + 999 * DAY)):
        await store.save_notices("c1", [notice()], decided_for=condition(), again_at=again_at)
        await fleet.save(reworded=(worded("Twenty-nine days left."),))
        await store.save_conditions([worded("Twenty-eight days left.")])
        assert (await fleet.read()).conditions == (worded("Twenty-eight days left."),)
        assert await store.open_conditions(REF) == (worded("Twenty-eight days left."),)
        assert await store.conditions_to_tell(now=by - second, limit=9) == ()
        assert await store.next_notify_at(after=START) == again_at


async def test_what_is_worse_in_other_words_is_told(store: Store) -> None:
    """Likewise another stage, and what is over."""
    now = condition()
    for change in (
        replace(now, condition=replace(now.condition, severity=Severity.CRITICAL, detail="A day left.")),
        replace(now, condition=replace(now.condition, stage="1d", detail="A day left.")),
        replace(now, resolved_at=START),
    ):
        await store.save_notices("c1", [], decided_for=now, again_at=ABSENT)
        assert await store.conditions_to_tell(now=START, limit=9) == ()
        await store.save_conditions([change])
        assert await store.conditions_to_tell(now=START, limit=9) == ((change, ()),)
        now = change


async def test_another_sentence_while_being_decided_about_changes_nothing(store: Store) -> None:
    """What was decided is decided: the words are no reason to decide again, and again while they move."""
    await store.save_conditions([condition()])
    await store.save_conditions([worded("Twenty-nine days left.")])
    await store.save_notices("c1", [notice()], decided_for=condition(), again_at=START + DAY)
    assert await store.conditions_to_tell(now=START, limit=9) == ()
    assert await store.next_notify_at(after=START + DAY) == START + DAY


async def test_what_is_over_is_not_open_again(fleet: Fleet) -> None:
    """A turn that began before the key left the config and came back would open it, and people had heard its end."""
    store, over = fleet.store, condition(resolved_at=START)
    await store.save_conditions([condition()])
    await store.save_conditions([over])
    await store.save_notices("c1", [], decided_for=over, again_at=ABSENT)
    await fleet.save(reworded=(worded("Twenty-nine days left."),))
    assert await store.open_conditions(REF) == ()
    assert await store.conditions_to_tell(now=START, limit=9) == ()
