"""What every model of the schema has in common.

Settings are frozen, know no extras, and carry a docstring under every field, which becomes the field's description in
the JSON Schema and the hint of a problem. Types are strict: `"5"` is not 5 and 1 is not true, since a config that means
something else than it says is worse than none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)

from byokd.config.problems import Unfit, quoted


class Settings(BaseModel):
    """The base of every table of the config."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _path(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Unfit("must be a path", "write it in quotes")
    if value.startswith("~"):
        raise Unfit(f"{quoted(value)}: byokd does not know whose home ~ is", "write the whole path")
    base: Any = (info.context or {}).get("base", Path())
    return Path(os.path.normpath(Path(base) / value))


def _name(value: str) -> str:
    if not value.replace("-", "").replace("_", "").isalnum() or not value.isascii() or len(value) > 64:
        raise Unfit(f"{quoted(value)} cannot be a name here", "1 to 64 letters, digits, - or _")
    return value


def _line(value: str) -> str:
    if not value.isprintable():
        raise Unfit("holds control characters", "write plain text on one line")
    return value


ConfigPath = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
"""A path; a relative one starts at the directory of the main config file."""

Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})]
"""What a lane, source, channel or fleet is called."""

Line = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_line)]
"""Text on one line."""

Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
Rate = Annotated[float, Strict(), Field(allow_inf_nan=False)]
