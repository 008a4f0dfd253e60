"""Config that byokd writes: it loads, it is judged before it is a file, and it replaces nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from byokd.config.drafts import Draft, write_new
from byokd.config.load import load
from byokd.decide.adoption import Adopted
from byokd.errors import ConfigError, OperatorError
from byokd.facts.key import ABSENT, KeyArn
from tests.unit.config.conftest import PARTS, Folder


def arn(number: int) -> KeyArn:
    """One of many keys."""
    return KeyArn(f"arn:aws:kms:eu-central-1:111122223333:key/{number:08d}-0000-4000-8000-000000000000")


def draft(fleet: str = "found", source: str = "") -> Draft:
    """Two keys, of which one says where its material is, in words that must be quoted."""
    keys = [
        Adopted(arn=arn(1), material='a "b", c\\d.key', aliases=("alias/one",)),
        Adopted(arn=arn(2), material=ABSENT),
    ]
    return Draft(keys=keys, fleet=fleet, source=source, heading="Two keys.")


@pytest.mark.parametrize("name", ["conf.d/found.toml", "found.csv"])
def test_what_is_written_is_what_is_loaded(folder: Folder, name: str):
    """Both forms come to the same keys, with the same material."""
    folder.load(PARTS)
    (folder.path / "conf.d").mkdir()
    file = folder.path / name
    write_new(file, draft().text_for(file))
    if file.suffix == ".csv":
        folder.write({"byokd.toml": PARTS + draft().fleet_of_list(file)})
    keys = list(load(folder.path / "byokd.toml").keys())
    assert [(key.arn, key.fleet, key.locator) for key in keys] == [
        (arn(1), "found", 'a "b", c\\d.key'),
        (arn(2), "found", f"{arn(2).rpartition('/')[2]}.key"),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["found.toml", "found.csv"])
def test_a_draft_is_judged_with_the_config_around_it(folder: Folder, name: str):
    """A key that is named elsewhere, a source that is not there: told with the file that does not exist yet."""
    folder.load(f'{PARTS}[fleets.old]\n[[fleets.old.keys]]\nkey = "{arn(2)}"\n')
    file = folder.path / name
    with pytest.raises(ConfigError, match="is the same key as in"):
        draft().check(folder.path / "byokd.toml", file)
    with pytest.raises(ConfigError, match='there is no source "nope"'):
        draft(source="nope").check(folder.path / "byokd.toml", file)
    assert not file.exists()


def test_keys_may_join_a_fleet_that_is_there(folder: Folder):
    """A fleet's table may stand in several files; its keys add up."""
    folder.load(f'{PARTS}[fleets.old]\nvalid_for = "30d"\n[[fleets.old.keys]]\nkey = "{arn(3)}"\n')
    draft("old").check(folder.path / "byokd.toml", folder.path / "more.toml")


def test_a_draft_that_no_file_could_hold_is_refused(folder: Folder):
    """A TOML file of more than 16 MiB would not load either; a key list takes more."""
    folder.load(PARTS)
    many = Draft(keys=[Adopted(arn=arn(1), material="x" * 17_000_000)], fleet="f", source="", heading="")
    with pytest.raises(ConfigError, match="would be larger than"):
        many.check(folder.path / "byokd.toml", folder.path / "f.toml")


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path):
    """Not even a broken link is replaced, and no half-written file stays behind."""
    file, link = tmp_path / "keys.csv", tmp_path / "link.csv"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for each in (file, link):
        with pytest.raises(OperatorError, match="exists already"):
            write_new(each, "theirs")
    assert (file.read_text(), sorted(tmp_path.iterdir())) == ("mine", [file, link])


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path):
    """In one sentence, without a traceback."""
    with pytest.raises(OperatorError, match="cannot be written: No such file or directory"):
        write_new(tmp_path / "nowhere" / "keys.csv", "")
