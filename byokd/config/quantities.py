"""Durations, shares of life, and how they are written: `90d`, `1h30m`, `33%`, `1/3`, `never`.

A duration without a unit is refused, never guessed: "90" has meant days to one person and seconds to the next. Values
are whole seconds, as KMS keeps `ValidTo`. `Span` and `Portion` are put into `Annotated` types of the schema; they
parse, hold the bounds, and describe themselves to the JSON Schema.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from byokd.config.problems import Unfit, quoted
from byokd.facts.key import NEVER, Never

SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""The units, largest first."""

DURATION_PATTERN: Final = r"([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?"
SHARE_PATTERN: Final = r"[0-9]+(\.[0-9]+)?%|[0-9]+/[1-9][0-9]*"

_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)
_SHARE: Final = re.compile(SHARE_PATTERN, re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_LONGEST_TEXT: Final = 32
_UNITS: Final = "durations need a unit: s, m, h, d, w"


def parse_duration(text: object, *, at_least: str = "0s", at_most: str = "3650d") -> timedelta:
    """Read `90d`, `1h30m` or `45s`: whole numbers with units, largest unit first, each unit at most once.

    The bounds are for the hint alone, which proposes nothing beyond them: what is read is the caller's to judge.

    Raises:
        Unfit: not a duration; the hint says how to write it.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise Unfit(_UNITS, f"{_with_unit(text, at_least, at_most)}, in quotes")
    if not isinstance(text, str):
        raise Unfit("must be a duration", 'write for example "90d" or "1h30m", in quotes')
    if _NUMBER.fullmatch(text):
        raise Unfit(f"{quoted(text)}: {_UNITS}", _with_unit(text, at_least, at_most))
    if not text or len(text) > _LONGEST_TEXT or not (match := _DURATION.fullmatch(text)):
        raise Unfit(
            f"{quoted(text)} is not a duration", "write whole numbers with units, largest first: 90d, 1h30m, 45s"
        )
    try:
        return timedelta(seconds=sum(int(part[:-1]) * SECONDS[part[-1]] for part in match.groups() if part))
    except OverflowError:
        raise Unfit(f"{quoted(text)} is longer than anything byokd plans for", "at most 3650d") from None


def _with_unit(number: object, at_least: str, at_most: str) -> str:
    """How to write a number that has no unit: with the largest one, up to days, that keeps it within the bounds."""
    for unit in ("d", "h", "m", "s"):
        with suppress(Unfit):
            if parse_duration(at_least) <= parse_duration(f"{number}{unit}") <= parse_duration(at_most):
                return f'write for example "{number}{unit}"'
    return f"write whole numbers with units, from {at_least} to {at_most}"


def format_duration(value: timedelta) -> str:
    """Write a duration as it would be written in the config: `365d`, `1h30m`, `0s`. Parts of a second are cut."""
    left = int(value.total_seconds())
    if left >= SECONDS["d"] and left % SECONDS["d"] == 0:
        return f"{left // SECONDS['d']}d"
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_share(text: object) -> Fraction:
    """Read `33%`, `2.5%` or `1/3`.

    Raises:
        Unfit: not a share; the hint says how to write it.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise Unfit("shares are written as text", f'write "{text * 100:g}%" or a fraction such as "1/3", in quotes')
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not _SHARE.fullmatch(text):
        raise Unfit("is not a share", 'write a percentage or a fraction, in quotes: "33%", "1/3"')
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def format_share(value: Fraction) -> str:
    """Write a share as it would be written in the config: `5%` or `2.5%` where that is exact, else `1/3`."""
    per_mille = value * 1000
    return f"{float(per_mille) / 10:g}%" if per_mille.denominator == 1 else str(value)


def write(value: timedelta | Fraction | Never) -> str:
    """Write any quantity as it would be written in the config."""
    match value:
        case timedelta():
            return format_duration(value)
        case Fraction():
            return format_share(value)
        case Never():
            return value.value


def round_seconds(value: timedelta, share: Fraction) -> timedelta:
    """That share of a duration, to the nearest whole second."""
    return timedelta(seconds=round(Fraction(int(value.total_seconds())) * share))


_WRITTEN: Final = core_schema.plain_serializer_function_ser_schema(write)


@dataclass(frozen=True, slots=True)
class Portion:
    """A share: a percentage or a fraction, `at_least` <= share < `below`."""

    at_least: str
    below: str

    def parse(self, value: object) -> Fraction:
        """Read a share within the bounds, which are written as shares themselves."""
        bounds = f"from {self.at_least} to below {self.below}"
        if isinstance(value, int | float) and not isinstance(value, bool) and not self._holds(value):
            raise Unfit(f"{value:g} is out of bounds", f"{bounds}, in quotes")
        share = value if isinstance(value, Fraction) else parse_share(value)
        if not self._holds(share):
            raise Unfit(f"{format_share(share)} is out of bounds", bounds)
        return share

    def _holds(self, share: float | Fraction) -> bool:
        return parse_share(self.at_least) <= share < parse_share(self.below)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse, serialization=_WRITTEN)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({SHARE_PATTERN})$", "examples": ["5%", "1/3"]}


@dataclass(frozen=True, slots=True)
class Span:
    """A duration, `at_least` <= duration <= `at_most`; on request also a share of something, or `never`."""

    at_least: str
    at_most: str
    share: bool = False
    """Whether a share is taken instead: below 100%, and 0 where `at_least` is. Of what, is the setting's to say."""
    never: bool = False
    """Whether `never` is taken instead."""

    def parse(self, value: object) -> timedelta | Fraction | Never:
        """Read a duration within the bounds, which are written as durations themselves."""
        if isinstance(value, Fraction | Never):
            return value
        if self.never and value == NEVER.value:
            return NEVER
        if self.share and isinstance(value, str) and _SHARE.fullmatch(value):
            share = Portion("0%", "100%").parse(value)
            if not share and parse_duration(self.at_least):
                raise Unfit("must be more than 0", f'a duration from {self.at_least}, or a share such as "1/3"')
            return share
        if not isinstance(span := value, timedelta):
            span = parse_duration(value, at_least=self.at_least, at_most=self.at_most)
        if not parse_duration(self.at_least) <= span <= parse_duration(self.at_most):
            never = ", or never" if self.never else ""
            raise Unfit(f"{format_duration(span)} is out of bounds", f"from {self.at_least} to {self.at_most}{never}")
        return span

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse, serialization=_WRITTEN)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        ways = [
            f"(?=.){DURATION_PATTERN}",
            *([SHARE_PATTERN] if self.share else []),
            *(["never"] if self.never else []),
        ]
        examples = [self.at_most, *(["1/3"] if self.share else []), *(["never"] if self.never else [])]
        return {"type": "string", "pattern": f"^({'|'.join(ways)})$", "examples": examples}
