"""Key lists in CSV."""

from __future__ import annotations

from datetime import timedelta

import pytest

from byokd.config.roster import MAX_PROBLEMS
from byokd.facts.policy import ChangeWindow

from .conftest import PARTS

MAIN = f'{PARTS}[fleets.a]\nkeys_csv = "keys.csv"\n'
ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{ID}"


def test_rows_are_keys(folder):
    """A row names a key, its material, and what it does differently; empty cells inherit."""
    config = folder.load(
        MAIN,
        keys_csv=f"\ufeffkey, material ,valid_for,alert_before\n{ARN},a.key,,\n\n"
        'alias/x,,30d,"1h 2h"\n"alias/y",,30d,\r\n',
    )
    a, x, y = config.keys()
    assert (a.ref, a.locator, a.policy.valid_for) == (ARN, "a.key", timedelta(days=90))
    assert (x.locator, x.policy.valid_for) == ("x.key", timedelta(days=30))
    assert x.policy.alert_before == (timedelta(hours=2), timedelta(hours=1))
    assert y.policy.alert_before == a.policy.alert_before
    assert config.files[-1] == folder.path / "keys.csv"


def test_a_row_may_have_a_priority_of_its_own(folder):
    """A number in a cell is a number; windows are no column, and the row inherits its fleet's."""
    windows = 'windows = [{ cron = "0 2 * * sat", for = "4h", time_zone = "Europe/Berlin" }]\n'
    x, y = folder.load(f"{MAIN}{windows}priority = 3\n", keys_csv="key,priority\nalias/x,-7\nalias/y,\n").keys()
    assert (x.policy.priority, y.policy.priority) == (-7, 3)
    window = ChangeWindow(cron="0 2 * * sat", lasts=timedelta(hours=4), time_zone="Europe/Berlin")
    assert x.policy.windows == y.policy.windows == (window,)


BAD = {
    "a priority that is no number": (
        "key,priority\nalias/x,high\n",
        [
            "keys.csv:2: fleets.a.keys_csv.priority: must be a valid integer (Whose routine renewals, and whose lapsed "
            "keys, the lane serves first: the higher number, from -100 to 100. Between keys near their deadlines the "
            "deadline alone decides)"
        ],
    ),
    "windows in a cell": (
        "key,windows\n",
        [
            'keys.csv:1: fleets.a.keys_csv: unknown column "windows" (known here: alert_before, drill_every, '
            "emergency_share, key, lane, look_every, material, on_foreign_delete, on_lapse, priority, probe, "
            "renew_before, renewal_floor, replicas, rotate_every, settle_for, source, spread, valid_for, "
            "wrapping_algorithm, wrapping_key_spec)"
        ],
    ),
    "nothing": ("", ["keys.csv:1: fleets.a.keys_csv: has no column named key (the first row is key,material)"]),
    "semicolons": (
        "key;material\n",
        ["keys.csv:1: fleets.a.keys_csv: has no column named key (separate columns by commas)"],
    ),
    "an unknown column": (
        "key,valid_fro\n",
        ['keys.csv:1: fleets.a.keys_csv: unknown column "valid_fro" (did you mean valid_for?)'],
    ),
    "a column twice": (
        "key,key\n",
        ["keys.csv:1: fleets.a.keys_csv: has column key more than once (keep one of them)"],
    ),
    "a cell too few": (
        "key,material\nalias/x\n",
        ["keys.csv:2: fleets.a.keys_csv: has 1 cells, the header 2 (one cell for each column)"],
    ),
    "an open quote": (
        'key\n"alias/x\n',
        ["keys.csv:2: fleets.a.keys_csv: is not CSV: unexpected end of data (see RFC 4180)"],
    ),
    "the same bad value twice": (
        "key,valid_for\nalias/x,90\nalias/y,90\n",
        [
            f'keys.csv:{line}: fleets.a.keys_csv.valid_for: "90": durations need a unit: s, m, h, d, w '
            '(write for example "90d")'
            for line in (2, 3)
        ],
    ),
    "a life that is too short for its renewal": (
        "key,valid_for\nalias/x,30m\n",
        [
            "keys.csv:2: fleets.a.keys_csv.valid_for: renew_before (10m), spread (1m) and renewal_floor (1h) "
            "do not fit into valid_for (30m) (a renewal_floor below 19m would fit)"
        ],
    ),
    "a key twice, by ARN and id": (
        f"key\n{ARN}\nalias/x\n{ID}\n",
        [f"keys.csv:4: fleets.a.keys_csv: {ID} is the same key as in keys.csv:2 (keep one of the two)"],
    ),
    "no key in a row": (
        "key,material\n,a.key\n",
        [
            'keys.csv:2: fleets.a.keys_csv.key: "" is not a key\'s name '
            "(write an ARN, a key id in lower case, or alias/NAME)"
        ],
    ),
    "an unknown lane": (
        "key,lane\nalias/x,ue\n",
        ['keys.csv:2: fleets.a.keys_csv.lane: there is no lane "ue" (known here: eu)'],
    ),
}


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD)
def test_bad_lists_are_told_by_row(folder, text, told):
    """Each mistake in a list has the line of its row."""
    assert folder.told(MAIN, keys_csv=text) == told


def test_a_key_in_a_list_and_in_the_config_is_a_problem(folder):
    """One key is one entry, over every file and fleet; both places are named."""
    told = folder.told(f'{MAIN}[[fleets.b.keys]]\nkey = "{ID}"\n', keys_csv=f"key\n{ARN}\n")
    assert told == [f"byokd.toml:9: fleets.b.keys[0]: {ID} is the same key as in keys.csv:2 (keep one of the two)"]


def test_one_list_in_two_fleets_is_told_once_for_each_row(folder):
    """Two fleets that read one list claim the same keys."""
    told = folder.told(f'{MAIN}[fleets.b]\nkeys_csv = "keys.csv"\n', keys_csv="key\nalias/x\n")
    assert told == ["keys.csv:2: fleets.b.keys_csv: alias/x is the same key as in keys.csv:2 (keep one of the two)"]


def test_problems_of_one_list_are_limited(folder):
    """A list that is wrong as a whole does not bury what else is wrong."""
    told = folder.told(MAIN, keys_csv="key\n" + "nonsense \n" * 10_000)
    assert len(told) == MAX_PROBLEMS + 1
    assert "the rest of the list was not judged" in told[-1]


def test_a_list_of_ten_thousand_is_streamed_with_few_policies(folder):
    """A large list loads, keys come one by one, and equal policies are one object."""
    rows = (f"alias/k-{number},{'30d' if number % 2 else ''}" for number in range(10_000))
    config = folder.load(MAIN, keys_csv="\n".join(["key,valid_for", *rows]))
    keys = config.keys()
    assert iter(keys) is keys
    listed = list(keys)
    assert len(listed) == len({key.ref for key in listed}) == 10_000
    assert len({id(key.policy) for key in listed}) == 2


def test_a_list_edited_later_changes_nothing(folder):
    """The keys are those that were checked, until the config is loaded again."""
    config = folder.load(MAIN, keys_csv="key\nalias/x\n")
    folder.write({"keys.csv": "key\nalias/aws/nonsense\n"})
    assert [key.name for key in list(config.keys())] == ["alias/x"]


def test_keys_named_twice_are_limited_too(folder):
    """A list that was pasted twice is told as such."""
    rows = "".join(f"alias/x{number}\n" for number in range(500))
    told = folder.told(MAIN, keys_csv=f"key\n{rows}{rows}")
    assert len(told) == MAX_PROBLEMS + 1
    assert told[0] == "keys.csv:502: fleets.a.keys_csv: alias/x0 is the same key as in keys.csv:2 (keep one of the two)"
    assert told[-1] == "keys.csv:602: fleets.a.keys_csv: more keys are named twice (correct those above first)"
