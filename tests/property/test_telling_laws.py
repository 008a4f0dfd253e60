"""Laws of who is told what, and when: nobody twice, nobody out of turn, and nobody never."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.notices import Audience, redeliver_at, tell
from byokd.facts.condition import ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, Absent
from tests.kit.strategies import conditions, moments, spans, statements

MINUTE = timedelta(minutes=1)

audiences = st.lists(
    st.builds(
        lambda name, least, hours: Audience(channel=name, min_severity=least, remind_every=timedelta(hours=hours)),
        st.sampled_from(["mail", "pager", "log"]),
        st.sampled_from(Severity),
        st.integers(min_value=1, max_value=100),
    ),
    max_size=3,
    unique_by=lambda each: each.channel,
)


@given(statements.filter(bool), audiences, moments, st.booleans())
def test_people_are_told_once(stated: Any, them: Any, now: Any, over: bool) -> None:
    """What was told is not told again in the same moment; what was raised for somebody is resolved for them once."""
    condition = OpenCondition(id="c", subject="k", condition=stated[0], since=now)
    told = _notices(condition, tell(condition, (), them, now), now)
    if over:
        condition = replace(condition, resolved_at=now)
        ended = _notices(condition, tell(condition, told, them, now), now)
        assert {each.channel for each in ended} == {each.channel for each in told} or condition.condition.kind in (
            ConditionKind.LAPSED,
            ConditionKind.MATERIAL_DELETED,
        )
        # Of two notices of one moment the later one on record counts.
        told = [*told, *(replace(each, created_at=now + MINUTE) for each in ended)]
    again = tell(condition, told, them, now)

    assert again.notices == ()
    assert again.again_at is ABSENT or again.again_at > now


@given(conditions, audiences, moments, spans, st.integers(0, 3))
def test_who_heard_that_it_is_wrong_hears_that_it_is_over(
    stated: Any, them: Any, now: Any, later: timedelta, staying: int
) -> None:
    """Also a channel that has left the config, since it may come back, and nothing else would close what it opened."""
    condition = OpenCondition(id="c", subject="k", condition=stated, since=now)
    told = _notices(condition, tell(condition, (), them, now), now)
    over = replace(condition, resolved_at=now + later)
    ended = tell(over, told, them[:staying], now + later)
    assert ended.notices == tuple((each.channel, NoticeKind.RESOLVED) for each in told)
    assert ended.again_at is ABSENT
    told += _notices(over, ended, now + later)
    assert tell(over, told, them, now + later).notices == ()


def _notices(condition: OpenCondition, telling: Any, now: Any) -> list[Notice]:
    return [
        Notice(
            id=f"{channel}{kind.value}",
            condition_id=condition.id,
            channel=channel,
            kind=kind,
            subject=condition.subject,
            condition=condition.condition,
            since=now,
            created_at=now + (MINUTE if kind is NoticeKind.RESOLVED else timedelta(0)),
            not_before=now,
        )
        for channel, kind in telling.notices
    ]


def _taken(told: list[Notice], now: Any) -> list[Notice]:
    return [replace(each, sent_at=now) for each in told]


@given(conditions, audiences, moments, spans, spans)
def test_nobody_is_told_out_of_turn(stated: Any, them: Any, now: Any, first: timedelta, second: timedelta) -> None:
    """Before `again_at` nothing is to be told anew, and at it there is: one time to wake for all channels."""
    condition = OpenCondition(id="c", subject="k", condition=stated, since=now)
    told = _taken(_notices(condition, tell(condition, (), them, now), now), now)
    again_at = tell(condition, told, them, now).again_at
    for later in (now + first, now + second):
        news = tell(condition, told, them, later).notices
        assert bool(news) is (again_at is not ABSENT and later >= again_at)
        assert all(kind is NoticeKind.REMINDER for _, kind in news)


@given(conditions, audiences, moments, spans, spans)
def test_nobody_is_reminded_of_what_they_were_not_told_yet(
    stated: Any, them: Any, now: Any, away: timedelta, more: timedelta
) -> None:
    """However long a receiver is away; once it took what there was, it is reminded no later than otherwise."""
    condition = OpenCondition(id="c", subject="k", condition=stated, since=now)
    told = _notices(condition, tell(condition, (), them, now), now)
    back = now + away
    telling = tell(condition, told, them, back)
    assert telling.notices == ()
    concerned = them if stated.severity is Severity.CRITICAL else []
    if isinstance(telling.again_at, Absent):
        assert not concerned
        return
    assert back < telling.again_at <= back + min(each.remind_every for each in concerned)
    then = telling.again_at + more
    reminded = {channel for channel, _ in tell(condition, _taken(told, back), them, then).notices}
    assert reminded == {each.channel for each in concerned if now + each.remind_every <= then}


@given(conditions, audiences, moments, spans.filter(bool))
def test_a_notice_of_a_clock_that_was_ahead_delays_nothing(stated: Any, them: Any, now: Any, ahead: timedelta) -> None:
    """How long ago it was made nobody knows: those who heard of a critical condition are reminded, and then in turn."""
    condition = OpenCondition(id="c", subject="k", condition=stated, since=now)
    told = _taken(_notices(condition, tell(condition, (), them, now + ahead), now + ahead), now + ahead)
    again = tell(condition, told, them, now)
    critical = stated.severity is Severity.CRITICAL
    assert again.notices == tuple((each.channel, NoticeKind.REMINDER) for each in them if critical)
    # With the write of what is new, the stamps of what was told before are put right.
    told = [replace(each, created_at=now - MINUTE) for each in told] if critical else told
    news = tell(condition, told + _taken(_notices(condition, again, now), now), them, now)
    assert news.notices == ()
    assert news.again_at == min((now + each.remind_every for each in them if critical), default=ABSENT)


@given(st.integers(min_value=0, max_value=10**9), moments)
def test_delivery_is_tried_for_ever_and_never_at_once(attempts: int, now: Any) -> None:
    """An undelivered notice waits from ten seconds to a quarter of an hour."""
    assert timedelta(seconds=10) <= redeliver_at(attempts, now) - now <= timedelta(minutes=15)
