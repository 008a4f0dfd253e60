"""A folder with a config in it, and what loading it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd.config.load import Config, Problem, load
from byokd.errors import ConfigError

LANE = '[lanes.eu]\naccount = "111122223333"\nregion = "eu-central-1"\n'
SOURCE = '[sources.files]\ntype = "file"\ndirectory = "material"\n'
PARTS = LANE + SOURCE
"""A lane and a source, in six lines, for a fleet to stand on."""


class Folder:
    """Where the config's files are. `byokd.toml` is the main one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def load(self, main: str | None = None, **files: str) -> Config:
        """Load after writing; `conf_d__a_toml` is conf.d/a.toml, `keys_csv` keys.csv."""
        if main is not None:
            self.write({"byokd.toml": main})
        self.write({_file_name(name): text for name, text in files.items()})
        return load(self.path / "byokd.toml")

    def problems(self, main: str | None = None, **files: str) -> list[Problem]:
        with pytest.raises(ConfigError) as caught:
            self.load(main, **files)
        found = [problem for problem in caught.value.problems if isinstance(problem, Problem)]
        assert len(found) == len(caught.value.problems)
        return found

    def told(self, main: str | None = None, **files: str) -> list[str]:
        """The problems as people read them, without the folder."""
        return [str(problem).replace(f"{self.path}/", "") for problem in self.problems(main, **files)]


def _file_name(name: str) -> str:
    *folders, file = name.replace("conf_d", "conf.d").split("__")
    stem, _, suffix = file.rpartition("_")
    return "/".join([*folders, f"{stem}.{suffix}"])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
