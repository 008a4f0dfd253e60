"""Config that byokd writes itself: keys of a fleet, as TOML or as a key list. Checked before it is a file.

A draft is judged together with the config as it stands, as if it were there already. It becomes a file whole or not at
all, and never in the place of another.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byokd.config.key_list import SEVERAL
from byokd.config.load import Config, load
from byokd.config.names import partition
from byokd.decide.adoption import Adopted, locator
from byokd.errors import OperatorError
from byokd.facts.estate import NewKey
from byokd.facts.key import Absent, KeyArn
from byokd.facts.policy import Lane

_MODE = 0o644
"""There is nothing secret in it, and the daemon is often another user than the one who writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Keys of one fleet, before they are a file."""

    keys: Sequence[Adopted]
    fleet: str
    source: str
    """One of the config's sources; empty where the fleet or the defaults say it."""
    heading: str
    """One line of comment."""

    def as_toml(self) -> str:
        """A file for `conf.d`."""
        lines = [f"# {self.heading}", "", *self._fleet()]
        for key in self.keys:
            names = ", ".join(each for each in key.aliases if each.isprintable())
            lines += ["", f"[[fleets.{self.fleet}.keys]]", *([f"# {names}"] if names else []), f'key = "{key.arn}"']
            if not isinstance(key.material, Absent):
                lines.append(f"material = {_quoted(key.material)}")
            if key.replicas:
                lines.append(f"replicas = [{', '.join(_quoted(each) for each in key.replicas)}]")
        return "\n".join(lines) + "\n"

    def as_csv(self) -> str:
        """A key list."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        replicated = any(key.replicas for key in self.keys)
        writer.writerow(("key", "material", "replicas") if replicated else ("key", "material"))
        for key in self.keys:
            row = (key.arn, "" if isinstance(key.material, Absent) else key.material)
            writer.writerow((*row, SEVERAL.join(key.replicas)) if replicated else row)
        return text.getvalue()

    def fleet_of_list(self, file: Path) -> str:
        """The lines of config that make a fleet of the key list in a file."""
        return "\n".join([*self._fleet(), f"keys_csv = {_quoted(str(file.absolute()))}"]) + "\n"

    def check(self, main: Path, file: Path) -> Config:
        """Hold the draft, as it would stand in `file`, against the config at `main`; the config with it.

        Raises: ConfigError with every problem that there would be.
        """
        file = file.absolute()
        if is_list(file):
            around = file.with_suffix(".toml")
            return load(main, drafts={file: self.as_csv(), around: self.fleet_of_list(file)})
        return load(main, drafts={file: self.as_toml()})

    def text_for(self, file: Path) -> str:
        """What would stand in the file."""
        return self.as_csv() if is_list(file) else self.as_toml()

    def _fleet(self) -> list[str]:
        return [f"[fleets.{self.fleet}]", *([f"source = {_quoted(self.source)}"] if self.source else [])]


def draft_of_new(
    keys: Sequence[NewKey], arns: Mapping[str, KeyArn], lane: Lane, *, fleet: str, source: str, material: str
) -> Draft:
    """The draft of keys that were made, `arns` by alias; of one that is not made yet, with an ARN in its place.

    `material` is a template as for `adopted`, for keys that do not say where theirs is.
    """
    listed = []
    for number, key in enumerate(keys):
        key_id = f"mrk-{number:032x}" if key.multi_region else f"{number:08x}-{'0000-' * 3}{0:012}"
        stand_in = KeyArn(f"arn:{partition(lane.region)}:kms:{lane.region}:{lane.account}:key/{key_id}")
        arn = arns.get(key.alias, stand_in)
        where = locator(arn, (key.alias,), material) if isinstance(key.material, Absent) else key.material
        listed.append(Adopted(arn=arn, material=where, aliases=(key.alias,), replicas=key.replicas))
    heading = f"Keys that byokd create made in {lane.name}: {len(listed)}."
    return Draft(keys=listed, fleet=fleet, source=source, heading=heading)


def is_list(file: Path) -> bool:
    """Whether a file of this name is a key list; every other one is TOML."""
    return file.suffix == ".csv"


def refuse_existing(file: Path) -> None:
    """Raises: OperatorError where there is a file already; better said before the work than after it."""
    if os.path.lexists(file):
        raise OperatorError(f"{file} exists already, and is left as it is: name another file")


def write_new(file: Path, text: str) -> None:
    """Write a file that does not exist yet: whole and on disk, or not at all.

    Raises: OperatorError where there is one already, or none can be made.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                os.fchmod(descriptor, _MODE)
                stream.write(text)
                stream.flush()
                os.fsync(descriptor)
            os.link(draft, file)  # does not replace what is there
        finally:
            draft.unlink()
        _sync(file.absolute().parent)
    except FileExistsError as error:
        raise OperatorError(f"{file} exists already, and is left as it is: name another file") from error
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror or error}") from error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quoted(text: str) -> str:
    """A basic string of TOML, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False)
