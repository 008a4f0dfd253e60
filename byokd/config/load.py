"""`load`: from a path to a checked `Config`, or to every problem at once.

`read` leaves the keys for later, for whoever does not need them, or knows by the digest that they are what they were.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from byokd import __version__
from byokd.config.check import OUTLINE, check
from byokd.config.documents import DIGEST_BYTES, Document, dotted, read_documents
from byokd.config.lanes import LOCAL
from byokd.config.problems import Problem, Problems
from byokd.config.roster import Roster
from byokd.config.schema import ChannelSettings, ConfigFile, DaemonSettings, LocalKmsSettings, SourceSettings
from byokd.errors import ConfigError
from byokd.facts.estate import Managed
from byokd.facts.key import Absent, LaneId
from byokd.facts.policy import DesiredKey, Lane

__all__ = ["Config", "Problem", "json_schema", "load", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration in which every bound holds. Paths are absolute."""

    daemon: DaemonSettings
    lanes: Mapping[str, Lane]
    """By the name that the config gives them."""
    sources: Mapping[str, SourceSettings]
    channels: Mapping[str, ChannelSettings]
    local_kms: LocalKmsSettings | None
    files: tuple[Path, ...]
    """Every file that belongs to it, the main one first."""
    roster: Roster | None
    """The keys; may be walked more than once. None where the config was laid aside."""

    def keys(self) -> Iterator[DesiredKey]:
        """Every key, made as it is asked for: fleets may have 1,000,000. Each `ref` comes once."""
        return iter(self._judged())

    def whole(self) -> Config:
        """The same with its keys read and judged.

        Raises:
            ConfigError: the keys have problems; all of them are in it.
        """
        if self._roster().judged:
            return self
        problems = Problems()
        roster = self._roster().unread()
        roster.judge(problems)
        if problems:
            raise ConfigError(problems.by_place())
        return replace(self, roster=roster)

    def digest(self) -> str:
        """A name for what the files hold, for this version of byokd to know again: equal ones mean the same keys.

        Of files that were not read it is what they hold now.
        """
        document = self._roster().document
        whole = blake2b(__version__.encode(), digest_size=DIGEST_BYTES)
        for file in self.files:
            whole.update(os.fsencode(file) + b"\0" + document.digest(file))
        return whole.hexdigest()

    def laid_aside(self) -> Config:
        """The settings alone, for whoever keeps them for years: keys and key lists may be many megabytes."""
        return replace(self, roster=None)

    def replicas(self) -> Iterator[tuple[DesiredKey, DesiredKey]]:
        """Every key that is written as a replica of another one, behind that."""
        return self._judged().replicas()

    def doubted(self, path: tuple[str, ...], what: str) -> Problem:
        """What is odd about a setting and may yet be right, with its place."""
        place = self._roster().document.place(path)
        return Problem(file=place.file, line=place.line, where=dotted(path), what=what, hint="")

    def _roster(self) -> Roster:
        assert self.roster is not None, "this config was laid aside without its keys"
        return self.roster

    def _judged(self) -> Roster:
        roster = self._roster()
        assert roster.judged, "the keys of this config were not judged: see `read`"
        return roster

    def managed(self, lane: LaneId) -> Managed:
        """The keys of one lane that are named here, each with its fleet."""
        keys = [key for key in self.keys() if key.lane == lane]
        return Managed(
            by_arn={key.arn: key.fleet for key in keys if not isinstance(key.arn, Absent)},
            by_alias={key.name: key.fleet for key in keys if isinstance(key.arn, Absent)},
        )


def load(path: Path, *, drafts: Mapping[Path, str] | None = None) -> Config:
    """Read and check the config at `path`, `conf.d/*.toml` beside it, and the key lists they name.

    `drafts` are files that are not there yet, by absolute path, and their text: TOML counts as if it stood in conf.d.

    Raises:
        ConfigError: the configuration has problems; all of them are in it, sorted by file and line.
    """
    return _read(path, drafts or {}, whole=True)


def read(path: Path) -> Config:
    """Read and check the config at `path` but for its keys, which `Config.whole` does: a million of them take a minute.

    Raises:
        ConfigError: the settings have problems. All problems are in it, those of keys too.
    """
    return _read(path, {}, whole=False)


def _read(path: Path, drafts: Mapping[Path, str], *, whole: bool) -> Config:
    problems = Problems()
    document = read_documents(path, problems, drafts)
    if problems:
        # What is wrong in half a configuration says little: half of it would be about what is in the other half.
        raise ConfigError(problems.by_place())
    file, entries = check(document, problems)
    lanes = _lanes(document, file, problems)
    roster = Roster(document=document, file=file, entries=entries, lanes=lanes)
    if whole or problems:
        roster.judge(problems)
    if problems:
        raise ConfigError(problems.by_place())
    return Config(
        daemon=file.daemon,
        lanes=lanes,
        sources=file.sources,
        channels=file.channels,
        local_kms=file.local_kms,
        files=(*document.files, *roster.list_files),
        roster=roster,
    )


def json_schema() -> dict[str, Any]:
    """The config file's JSON Schema (Draft 2020-12), for editors."""
    return OUTLINE.schema


def _lanes(document: Document, file: ConfigFile, problems: Problems) -> dict[str, Lane]:
    """The lanes as facts, with what only shows across their settings noted."""

    def tell(name: str, setting: tuple[str, ...], what: str, hint: str) -> None:
        path = ("lanes", name, *setting)
        problems.add(document.place(path), dotted(path), what, hint)

    lanes = {name: settings.lane(name) for name, settings in file.lanes.items()}
    first: dict[LaneId, str] = {}
    for name, settings in file.lanes.items():
        lane = lanes[name]
        if first.setdefault(lane.id, name) != name:
            where = document.place(("lanes", first[lane.id]))
            tell(
                name,
                ("account",),
                f"is the same account and Region as lane {first[lane.id]} in {where}",
                "keep one of them",
            )
        if settings.endpoint == LOCAL and "local_kms" not in document.data:
            tell(name, ("endpoint",), "there is no local KMS", "add [local_kms], or write the endpoint's URL")
        written = document.data["lanes"][name]
        for setting, what, hint in settings.contradictions():
            # A role that is wrong itself was told already, and is not called missing for it.
            if setting != ("external_id",) or "role_arn" not in written:
                tell(name, setting, what, hint)
    return lanes
