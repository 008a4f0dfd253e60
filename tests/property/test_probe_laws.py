"""Laws of the probe: asked for once an import, never in the way of anything, and not at all where nobody wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import case
from byokd.decide.decide import decide
from byokd.decide.probing import again_at, failing_probe, last_import, probes
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, KeyState, ObservedKey
from byokd.facts.ledger import Probe
from byokd.facts.snapshot import ImportWanted, ProbeWanted, Reason, Snapshot
from byokd.facts.uses import KeyUsage, use_of
from tests.kit.strategies import any_snapshots, moments, spans

quick = settings(deadline=None, max_examples=100)
outcomes = st.builds(
    lambda of, at, failures, code: Probe(of=of, at=at, failures=failures if code else 0, code=code, message=code),
    moments,
    moments,
    st.integers(1, 10**6),
    st.sampled_from(["", "probe_failed", "access_denied", "kms_unreachable"]),
)


def _tried(it: Snapshot, probe: Probe | None, wanted: bool, of_the_last: bool) -> Snapshot:
    """The snapshot with the outcome of a probe, perhaps that of its last import."""
    last = last_import(it)
    if probe is not None and of_the_last and isinstance(last, datetime):
        probe = replace(probe, of=last)
    rules = replace(it.desired.policy, probe=wanted)
    return replace(
        it,
        desired=replace(it.desired, policy=rules),
        ledger=replace(it.ledger, probe=ABSENT if probe is None else probe),
    )


tried = st.builds(_tried, any_snapshots, st.one_of(st.none(), outcomes), st.booleans(), st.booleans())


@quick
@given(tried, moments)
def test_a_probe_is_asked_for_after_an_import_alone(it: Snapshot, now: datetime) -> None:
    """Of a key that is Enabled and for something, where the policy wants it and none has succeeded since."""
    decision = decide(it, now)
    assert now < decision.wake_at
    if isinstance(decision.action, ProbeWanted):
        seen, probe = it.view, it.ledger.probe
        assert it.desired.policy.probe
        assert isinstance(seen, ObservedKey)
        assert seen.state is KeyState.ENABLED
        assert use_of(seen.spec, seen.usage) is not None
        assert last_import(it) is not ABSENT
        assert probe is ABSENT or not (probe.of == last_import(it) and probe.works)
        assert decision.reason is Reason.PROBING


@quick
@given(tried, moments)
def test_a_probe_holds_up_nothing(it: Snapshot, now: datetime) -> None:
    """Whatever came of one: what is imported with probes is imported without."""
    plain = replace(it, desired=replace(it.desired, policy=replace(it.desired.policy, probe=False)))
    without, decision = decide(plain, now), decide(it, now)
    if isinstance(without.action, ImportWanted):
        assert decision.action == without.action
    else:
        assert not isinstance(decision.action, ImportWanted)


@quick
@given(tried, moments, spans)
def test_once_it_succeeded_nobody_asks_again(it: Snapshot, now: datetime, later: timedelta) -> None:
    """Not even if the clock goes back: a probe is known by its import and not by its time."""
    last = last_import(it)
    if isinstance(last, datetime):
        done = replace(it, ledger=replace(it.ledger, probe=Probe(of=last, at=now)))
        for at in (now, now + later, now - later):
            assert not isinstance(decide(done, at).action, ProbeWanted)
            assert probes(case(done.turned_to(0), at)) is None


@quick
@given(tried, moments)
def test_a_failure_is_told_while_it_lasts(it: Snapshot, now: datetime) -> None:
    """A condition only where the probe of the last import failed; a wait of a drill at most before the next."""
    failed = failing_probe(it)
    told = [each for each in decide(it, now).conditions if each.kind is ConditionKind.PROBE_FAILED]
    assert failed is not None or told == []
    if failed is not None:
        longest = max(timedelta(hours=1), it.desired.policy.drill_every)
        assert timedelta(seconds=1) <= again_at(it, failed) - failed.at <= longest


@given(st.text(max_size=20), st.one_of(st.sampled_from(KeyUsage), st.text(max_size=20)))
def test_what_a_key_is_for_is_known_or_not(spec: str, usage: str) -> None:
    """A spec or a usage that AWS adds later is not tried."""
    assert use_of(spec, usage) is None or usage in set(KeyUsage)
