"""Laws of telling many keys' trouble in few messages: nobody waits long, nothing is lost, nothing overtakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.backoff import EIGHTH
from byokd.decide.gathering import (
    FEW,
    OUTAGE,
    Beat,
    beside,
    gathered,
    group_of,
    longest_wait,
    next_beat,
)
from byokd.decide.notices import OUTAGES, Audience
from byokd.facts.condition import Condition, ConditionKind, Notice, NoticeKind, Severity
from tests.kit.clock import START
from tests.kit.strategies import moments, spans

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
NEVER_YET = timedelta(0)
LANES = ("111122223333/eu-central-1", "111122223333/us-east-1")

subjects = st.one_of(
    st.builds(lambda lane, number: f"{lane}/alias/{number}", st.sampled_from(LANES), st.integers(0, 6)),
    st.builds(
        lambda region, number: f"arn:aws:kms:{region}:111122223333:key/{number}",
        st.sampled_from(("eu-central-1", "us-east-1")),
        st.integers(0, 6),
    ),
    st.sampled_from((f"lane:{LANES[0]}", "daemon")),
)
notices = st.builds(
    lambda subject, why, what, severity, stage: Notice(
        id="n",
        condition_id="c",
        channel="pager",
        kind=why,
        subject=subject,
        condition=Condition(kind=what, severity=severity, detail="d", stage=stage),
        since=START,
        created_at=START,
        not_before=START,
    ),
    subjects,
    st.sampled_from(NoticeKind),
    st.sampled_from((ConditionKind.LAPSED, ConditionKind.EXPIRING, ConditionKind.ACCESS_DENIED)),
    st.sampled_from(Severity),
    st.sampled_from(("", "3d")),
)
outboxes = st.lists(notices, max_size=60).map(
    lambda drawn: [replace(each, id=f"{number:03}") for number, each in enumerate(drawn)]
)
audiences = st.builds(
    lambda gather, remind: Audience(
        channel="pager",
        min_severity=Severity.INFO,
        remind_every=timedelta(minutes=remind),
        gather_for=timedelta(seconds=gather),
    ),
    st.sampled_from((0, 1, 10, 60, 600, 3600, 86_400)),
    st.integers(1, 43_200),
)
beats = st.none() | st.builds(lambda at, pause: Beat(at=at, pause=pause), moments, spans)


@given(outboxes, st.booleans())
def test_every_notice_is_told_once(them: list[Notice], alone: bool) -> None:
    """Messages hold what was in the outbox, no more and no less, whatever is told together."""
    told = [notice for message in gathered(them, alone=alone) for notice in message]
    assert sorted(told, key=lambda each: each.id) == them


@given(outboxes)
def test_only_what_differs_in_its_key_alone_is_told_together(them: list[Notice]) -> None:
    """A message of several is of one group, has more than a few, and names each key once."""
    for message in gathered(them):
        if len(message) > 1:
            assert len({group_of(notice) for notice in message}) == 1
            assert group_of(message[0]) is not None
            assert len(message) > FEW
            about = [notice.subject for notice in message if notice.kind is NoticeKind.RESOLVED]
            assert not about or {notice.lane for notice in message} == {message[0].lane}


@given(outboxes, st.booleans())
def test_nothing_overtakes_what_was_told_before_of_the_same_key(them: list[Notice], alone: bool) -> None:
    """Raised, resolved, raised again: people who are told so in another order believe the wrong thing."""
    place = {notice.id: number for number, message in enumerate(gathered(them, alone=alone)) for notice in message}
    for number, later in enumerate(them):
        for earlier in them[:number]:
            if (earlier.subject, earlier.condition.kind) == (later.subject, later.condition.kind):
                assert place[earlier.id] <= place[later.id]


@given(outboxes)
def test_alone_means_alone(them: list[Notice]) -> None:
    """Who wants a message for each key gets them in the order of the outbox."""
    assert gathered(them, alone=True) == [(notice,) for notice in them]


@given(notices, notices)
def test_what_got_worse_is_of_another_group(one: Notice, other: Notice) -> None:
    """What is raised with another severity or stage, in another lane or elsewhere, waits behind nobody."""
    if group_of(one) is not None and group_of(one) == group_of(other):
        assert (one.lane, one.kind, one.condition.kind) == (other.lane, other.kind, other.condition.kind)
        assert one.kind is NoticeKind.RESOLVED or one.condition == other.condition
    assert (group_of(one) is None) is (one.subject == "daemon" or one.subject.startswith("lane:"))


@given(notices, audiences, st.none() | moments, moments)
def test_nobody_waits_longer_than_is_good_for_the_key(it: Notice, them: Audience, deadline: Any, now: Any) -> None:
    """News wait for `gather_for` at most, those of outages for minutes, and nothing that gets worse with time for more
    than an eighth of the time left.
    """
    longest = longest_wait(it, them, deadline, now)
    assert longest >= NEVER_YET
    if not them.gather_for:
        assert longest == NEVER_YET
    if it.kind is NoticeKind.REMINDER:
        assert longest <= max(them.gather_for, them.remind_every / EIGHTH)
    else:
        assert longest <= them.gather_for
    if it.kind is NoticeKind.RAISED and it.condition.kind in OUTAGES:
        assert longest <= OUTAGE
    if it.kind is not NoticeKind.RESOLVED and deadline is not None and deadline > now:
        assert longest <= (deadline - now) / EIGHTH
    if it.kind is NoticeKind.RAISED and deadline is not None and deadline <= now:
        assert longest <= OUTAGE


@given(beats, spans, moments)
def test_a_beat_comes_now_or_soon(beat: Beat | None, longest: timedelta, now: Any) -> None:
    """Whatever was before, and wherever the clock was set: never in the past, never later than it may."""
    following = next_beat(beat, longest, now)
    assert now <= following.at <= now + longest
    assert following.at - now <= following.pause
    if beat is None or beat.at - now > beat.pause:
        assert following.at == now


@given(outboxes, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=60, max_size=60))
def test_what_failed_together_is_told_together_again(them: list[Notice], failed: list[tuple[int, int]]) -> None:
    """And with nothing else: a receiver that took it, though byokd does not know that, knows it by its id."""
    tried = [
        replace(each, attempts=attempts, not_before=START + after * HOUR)
        for each, (attempts, after) in zip(them, failed, strict=False)
    ]
    for message in gathered(tried):
        assert len({(each.attempts > 0, each.attempts and each.not_before) for each in message}) == 1


@given(
    st.lists(st.tuples(st.integers(0, 7200), st.integers(0, 19)), min_size=1, max_size=200),
    st.sampled_from((15, 60, 900, 3600)),
)
def test_however_many_keys_break_the_messages_are_few(broken: list[tuple[int, int]], longest_s: int) -> None:
    """Of whatever comes at whatever pace, a group tells no more than a handful for each `gather_for`, and for each key
    that cannot wait.
    """
    now, beat, told, longest = START, None, set(), timedelta(seconds=longest_s)
    for gap, spare in broken:
        now += gap * SECOND
        beat = next_beat(beat, longest if spare else NEVER_YET, now)
        told.add(beat.at)
    hurried = sum(not spare for _, spare in broken)
    assert len(told) <= 6 * (1 + (now - START) / longest + hurried)


@given(outboxes, st.lists(st.integers(0, 20), min_size=60, max_size=60), st.booleans())
def test_beside_what_failed_its_keys_are_left_alone(them: list[Notice], tries: list[int], alone: bool) -> None:
    """Nothing of theirs is offered, of the others the oldest of each, and what was tried least first."""
    messages = gathered([replace(each, attempts=tries[number]) for number, each in enumerate(them)], alone=alone)

    offered = beside(messages)

    taken: set[tuple[str, str]] = set()
    for message in messages[:1] + offered:
        about = {(each.subject, each.condition.kind.value) for each in message}
        assert not about & taken
        taken |= about
        earlier = messages[: messages.index(message)]
        assert message is messages[0] or not any(
            about & {(each.subject, each.condition.kind.value) for each in before} for before in earlier
        )
    assert [message[0].attempts for message in offered] == sorted(message[0].attempts for message in offered)
