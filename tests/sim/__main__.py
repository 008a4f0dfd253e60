"""`make sim SEED=…`: simulate one world, or a range of them, and tell the story of what went wrong.

python -m tests.sim 123             one seed, shrunk if it breaks a law
python -m tests.sim 123 --events 4,7    only these events of it
python -m tests.sim 1 --until 50    seeds 1 to 50, one line each
python -m tests.sim 123 --real          over SQLite, AWS's client and RSA
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tests.sim.plan import Plan, draw, span
from tests.sim.real import run_for_once
from tests.sim.run import Verdict, run
from tests.sim.shrink import shrink

TOLD_S = 3 * 86400.0


def say(text: str) -> None:
    """A line for whoever sits before it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Returns 1 if a law was broken. Raises: SystemExit, where the command line makes no sense."""
    parser = _parser()
    arguments = parser.parse_args(words)
    live = run_for_once if arguments.real else run
    if arguments.until is not None:
        if arguments.events is not None:
            parser.error("--events (EVENTS) are those of one world: without --until (UNTIL)")
        if arguments.until < arguments.seed:
            parser.error(f"--until (UNTIL) {arguments.until} comes before the seed (SEED) {arguments.seed}")
        return _many(arguments.seed, arguments.until, live)
    plan = draw(arguments.seed)
    if arguments.events is not None:
        if strays := arguments.events - {event.number for event in plan.events}:
            known = f"they are 0 to {len(plan.events) - 1}"
            parser.error(f"--events (EVENTS): world {plan.seed} has no event {min(strays)}: {known}")
        plan = plan.only(arguments.events)
    verdict = live(plan)
    say(line(verdict))
    if verdict.ok:
        return 0
    say(f"broken: {verdict.violations[0]}\nshrinks {len(plan.events)} events ...")
    laws = verdict.laws
    short = shrink(plan, lambda less: bool(laws & live(less).laws))
    say(story(live(short), real=arguments.real))
    return 1


def _many(first: int, last: int, live: Callable[[Plan], Verdict]) -> int:
    failed, key_years, cpu_s = [], 0.0, 0.0
    for seed in range(first, last + 1):
        verdict = live(draw(seed))
        key_years, cpu_s = key_years + verdict.key_years, cpu_s + verdict.cpu_s
        say(line(verdict))
        if not verdict.ok:
            failed.append(seed)
    say(f"{key_years:.0f} key-years in {cpu_s:.0f} s of CPU: {key_years / cpu_s:.1f} key-years a second")
    say(f"failed: {failed}" if failed else "every law held")
    return bool(failed)


def line(verdict: Verdict) -> str:
    """A verdict in one line."""
    first = "every law held" if verdict.ok else str(verdict.violations[0])
    figures = f"{verdict.key_years:6.1f} key-years, {verdict.imports:4} imports, {verdict.cpu_s:5.1f} s"
    return f"seed {verdict.plan.seed}: {figures}: {first}"


def story(verdict: Verdict, *, real: bool = False) -> str:
    """What happened around the first breach, and the command that shows it again."""
    plan = verdict.plan
    numbers = ",".join(str(event.number) for event in plan.events)
    lines = [
        f"make sim SEED={plan.seed} EVENTS={numbers or ','}{' REAL=1' * real}",
        *(str(event) for event in plan.events),
    ]
    if verdict.ok:
        return "\n".join([*lines, "(every law held: what broke needs more of the events)"])
    broken = verdict.violations[0]
    life = verdict.book.lives.get(broken.subject)
    about = {"*", broken.subject, life.lane if life else ""}
    if life is not None:
        lines += verdict.book.obstacles.why(verdict.book.scopes(life), broken.at_s - TOLD_S, broken.at_s)
    lines += [
        f"{span(at_s):>14} {'byokd and the world' if who == '*' else who[-24:]}: {what}"
        for at_s, who, what in verdict.book.story
        if who in about and broken.at_s - TOLD_S <= at_s <= broken.at_s + 60
    ][-60:]
    return "\n".join([*lines, f"BROKEN {broken}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Simulate worlds.")
    parser.add_argument("seed", metavar="SEED", type=_number)
    parser.add_argument(
        "--until", metavar="SEED", type=_number, default=None, help="simulate every seed up to this one"
    )
    parser.add_argument(
        "--events", type=_numbers, default=None, help="only these events of the plan: 4,7; none: a comma"
    )
    parser.add_argument("--real", action="store_true", help="over byokd's real parts, as the slower ring does")
    return parser


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: SEED=1 UNTIL=50") from None


def _numbers(text: str) -> frozenset[int]:
    """A comma alone is no event at all; nothing is more likely a slip, and would be a world where every law holds."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: 'EVENTS=,' is a world without events, 'EVENTS=4,7' one with two")
    try:
        return frozenset(int(each) for each in text.split(",") if each)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers: EVENTS=4,7") from None


if __name__ == "__main__":
    sys.exit(main())
