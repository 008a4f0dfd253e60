"""Settings from the command line, written as NAME=VALUE: for groups with more of them than a help page should list.

Names, types and bounds are those of the dataclass that is filled; nothing about any setting is known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

if TYPE_CHECKING:
    from byokd.localkms import Hostility, Limits, Outlets

Group = TypeVar("Group", "Hostility", "Limits", "Outlets")


def assigned(group: Group, written: Iterable[str], *, option: str) -> Group:
    """The group with some of its settings replaced.

    A setting that is a mapping takes `NAME.MEMBER=VALUE`; one that is a set takes members with commas between.

    Raises: typer.BadParameter for an unknown name and for a value that is none.
    """
    kinds = get_type_hints(type(group))
    values: dict[str, Any] = {}
    for assignment in written:
        name, equals, text = assignment.partition("=")
        name, _, member = name.partition(".")
        if not equals or name not in kinds:
            raise typer.BadParameter(
                f"{assignment!r}: write NAME=VALUE, with one of {', '.join(kinds)}.", param_hint=option
            )
        try:
            if member:
                values[name] = {**values.get(name, getattr(group, name)), member: float(text)}
            else:
                values[name] = _value(kinds[name], text)
        except (TypeError, ValueError):
            raise typer.BadParameter(f"{assignment!r} has no value of its kind.", param_hint=option) from None
    try:
        return dataclasses.replace(group, **values)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _value(kind: Any, text: str) -> object:
    """The value that text means for a type, which may be one of several or None."""
    kinds = [get_origin(each) or each for each in (get_args(kind) if isinstance(kind, UnionType) else (kind,))]
    if frozenset in kinds:
        return frozenset(part.strip() for part in text.split(",") if part.strip())
    for one in (int, float, str, Path):
        if one in kinds:
            return one(text)
    raise TypeError(f"{kind} is not written in one piece")
