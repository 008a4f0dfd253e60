"""Knowing a config again without reading its keys."""

from __future__ import annotations

import os

import pytest

from byokd.config.load import read
from byokd.errors import ConfigError

from .conftest import PARTS

MAIN = f'{PARTS}[fleets.a]\nkeys_csv = "keys.csv"\n'
FILES = {
    "byokd.toml": MAIN,
    "keys.csv": "key\nalias/x\n",
    "conf.d/a.toml": '[fleets.b]\nkeys = [{ key = "alias/y" }]\n',
}


@pytest.fixture
def written(folder):
    """A folder with a main file, a file beside it, and a key list."""
    folder.write(FILES)
    return folder


def reading(folder):
    """Its config without keys."""
    return read(folder.path / "byokd.toml")


def test_a_config_read_in_part_is_known_by_the_same_name(written):
    """Whether the lists were read does not matter, nor how often."""
    assert reading(written).digest() == reading(written).digest() == written.load().digest()
    assert reading(written).whole().digest() == written.load().digest()
    assert reading(written).files == written.load().files


@pytest.mark.parametrize("file", FILES)
def test_whatever_is_written_changes_the_name(written, file):
    """Each file counts, and one that is new too."""
    before = reading(written).digest()
    written.write({file: FILES[file] + "\n"})
    between = reading(written).digest()
    written.write({"conf.d/b.toml": ""})
    assert len({before, between, reading(written).digest()}) == 3


def test_the_name_is_that_of_what_was_read(written):
    """A list that is edited meanwhile is another one, and the keys are still the old one's."""
    config = reading(written).whole()
    before = config.digest()
    written.write({"keys.csv": "key\nalias/z\n"})
    assert config.digest() == before != reading(written).digest()
    assert sorted(key.name for key in config.keys()) == ["alias/x", "alias/y"]  # noqa: SIM118 -- a stream, not a dict


def test_a_list_that_is_not_there_changes_the_name(written):
    """It is no file that is told, once the keys are wanted."""
    before = reading(written).digest()
    (written.path / "keys.csv").unlink()
    os.mkfifo(written.path / "keys.csv")
    config = reading(written)
    assert config.digest() != before
    with pytest.raises(ConfigError, match="is not a file"):
        config.whole()


def test_wrong_keys_are_told_when_they_are_wanted(written):
    """Whoever needs the settings alone gets them."""
    written.write({"keys.csv": "key\nnonsense \n"})
    config = reading(written)
    assert list(config.lanes) == ["eu"]
    with pytest.raises(ConfigError, match=r"keys\.csv:2"):
        config.whole()


def test_with_wrong_settings_everything_wrong_is_told(written):
    """Who corrects a file wants to hear all of it at once."""
    written.write({"byokd.toml": f"{MAIN}valid_for = 3\n", "keys.csv": "key\nnonsense \n"})
    with pytest.raises(ConfigError) as caught:
        reading(written)
    first, second = map(str, caught.value.problems)
    assert "fleets.a.valid_for" in first
    assert "fleets.a.keys_csv.key" in second


def test_keys_that_nobody_judged_are_given_to_nobody(written):
    """A mistake of byokd, which must not make a fleet of the sound half of a list."""
    with pytest.raises(AssertionError):
        reading(written).keys()
    with pytest.raises(AssertionError):
        written.load().laid_aside().keys()
