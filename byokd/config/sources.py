"""Sources: where material comes from. Each kind has its `type`; `byokd.sources` does the reading."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from byokd.config.problems import Unfit, quoted
from byokd.config.quantities import Span
from byokd.config.settings import ConfigPath, Count, Line, Settings

Encoding = Literal["raw", "hex", "base64", "pem"]
PLACEHOLDER: Final = "{locator}"
MAX_LOCATOR: Final = 1024


def _argv(value: tuple[str, ...]) -> tuple[str, ...]:
    if not PurePath(value[0]).is_absolute():
        raise Unfit(f"{quoted(value[0])} is looked up nowhere", "write the program's whole path")
    if PLACEHOLDER in value[0]:
        raise Unfit("the locator must not choose the program", f"put {PLACEHOLDER} into a later argument")
    if not any(PLACEHOLDER in each for each in value):
        raise Unfit("gives every key the same material", f"put {PLACEHOLDER} where the key's locator belongs")
    return value


class _SourceSettings(Settings):
    encoding: Encoding = "raw"
    """How the material is written down: raw (also of a private key in DER), hex, base64 or pem. Default raw."""

    max_bytes: Annotated[Count, Field(ge=1, le=1_048_576)] = 65_536
    """More than this is refused as material, as it is written down: from 1 to 1048576 bytes. Default 65536."""


class FileSource(_SourceSettings):
    """Material in files that nobody but byokd can read."""

    type: Literal["file"]
    """`file`."""

    directory: ConfigPath | None = None
    """Where the files lie; keys then name files inside it. Default: none, and keys name their files by absolute
    path."""

    def locator(self, written: str | None, name: str) -> str:
        """The file of a key's material: as written, else `<name>.key` in the directory; `name` is the key's short one.

        Raises:
            Unfit: the file is not one that this source may read.
        """
        if written is None and self.directory is None:
            raise Unfit("the source has no directory, so each key must name its file", 'material = "/path/to/file"')
        locator = checked_locator(f"{name}.key" if written is None else written)
        absolute = locator.startswith("/")
        if self.directory is None and not absolute:
            raise Unfit(f"{quoted(locator)} is not an absolute path", "write one, or give the source a directory")
        if self.directory is not None and (absolute or ".." in locator.split("/") or not locator.strip("./")):
            raise Unfit(
                f"{quoted(locator)} is not inside the source's directory", f"a path relative to {self.directory}"
            )
        return locator


class CommandSource(_SourceSettings):
    """Material from the standard output of a command, run without a shell."""

    type: Literal["command"]
    """`command`."""

    argv: Annotated[tuple[Line, ...], Field(min_length=1, max_length=64), AfterValidator(_argv)]
    """Program (absolute path) and arguments, up to 64; `{locator}` stands for what the key names as `material`."""

    timeout: Annotated[timedelta, Span("1s", "10m")] = timedelta(seconds=30)
    """How long the command may run before it is killed: from 1s to 10m. Default 30s."""

    environment: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    """Names of up to 64 environment variables handed on beside PATH, HOME and LANG. Default: none."""

    def locator(self, written: str | None, name: str) -> str:
        """What takes the place of `{locator}`: as written, else `name`, the key's short one.

        Raises:
            Unfit: it would be taken for an option.
        """
        locator = checked_locator(name if written is None else written)
        if locator.startswith("-"):
            raise Unfit(
                f"{quoted(locator)} would be taken for an option of the command", "give the material another name"
            )
        return locator


SourceSettings = Annotated[FileSource | CommandSource, Field(discriminator="type")]


def checked_locator(locator: str) -> str:
    """A locator of sane length on one line.

    Raises:
        Unfit: it is neither.
    """
    if not locator or len(locator) > MAX_LOCATOR or not locator.isprintable():
        raise Unfit("cannot locate material", f"1 to {MAX_LOCATOR} printable characters")
    return locator
