"""What a person types to say which keys are meant: ARNs, key ids, patterns of aliases, and tags."""

from __future__ import annotations

from collections.abc import Iterable

from byokd.config.names import parse_name
from byokd.config.problems import Unfit, quoted
from byokd.errors import OperatorError
from byokd.facts.estate import ALIASES, Wanted
from byokd.facts.key import ABSENT, Absent, KeyArn
from byokd.facts.policy import Lane

_PATTERN: frozenset[str] = frozenset("*?[")


def wanted_in(lane: Lane, names: Iterable[str], tags: Iterable[str]) -> Wanted | None:
    """The keys that are meant in one lane; None where every name is of another lane.

    A tag is written NAME=VALUE, or NAME for any value.
    Raises: OperatorError for what is no name.
    """
    names = tuple(names)
    arns, aliases = set(), []
    for name in names:
        if name.startswith(ALIASES) and (_PATTERN & set(name) or _sound(name)):
            aliases.append(name)
        elif (arn := _arn_in(lane, name)) is not None:
            arns.add(arn)
    if names and not arns and not aliases:
        return None
    return Wanted(arns=frozenset(arns), aliases=tuple(aliases), tags=dict(_tag(each) for each in tags))


def _sound(alias: str) -> bool:
    try:
        return parse_name(alias).is_alias
    except Unfit as unfit:
        raise OperatorError(f"{unfit.what} ({unfit.hint})") from unfit


def _arn_in(lane: Lane, name: str) -> KeyArn | None:
    """The ARN of a key in the lane; None for that of a key elsewhere."""
    try:
        parsed = parse_name(name)
    except Unfit as unfit:
        raise OperatorError(f"{unfit.what} ({unfit.hint})") from unfit
    _, arn = parsed.in_lane(lane)
    return arn if isinstance(arn, str) and parsed.lane in (ABSENT, lane.id) else None


def _tag(written: str) -> tuple[str, str | Absent]:
    name, equals, value = written.partition("=")
    if not name:
        raise OperatorError(f"{quoted(written)} is not a tag: write NAME=VALUE, or NAME for any value")
    return name, value if equals else ABSENT
