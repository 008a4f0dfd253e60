"""Replicas: one entry of the config is a key in several lanes."""

from __future__ import annotations

import pytest

from byokd.facts.key import ABSENT

from .conftest import PARTS

ACCOUNT = "111122223333"
ID = "mrk-1234abcd12ab34cd56ef1234567890ab"
SINGLE = "1234abcd-0000-4000-8000-000000000000"
LANES = (
    PARTS + f'[lanes.us]\naccount = "{ACCOUNT}"\nregion = "us-east-1"\n'
    f'[lanes.ie]\naccount = "{ACCOUNT}"\nregion = "eu-west-1"\n'
    '[lanes.other]\naccount = "444455556666"\nregion = "us-east-1"\n'
    f'[lanes.china]\naccount = "{ACCOUNT}"\nregion = "cn-north-1"\n'
    '[fleets.a]\nlane = "eu"\nvalid_for = "30d"\n'
)


def arn(region: str) -> str:
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{ID}"


def a_key(name: str, replicas: str, *more: str) -> str:
    return LANES + "\n".join(["[[fleets.a.keys]]", f'key = "{name}"', f"replicas = {replicas}", *more])


def test_a_replica_is_the_same_key_in_another_lane(folder):
    """By ARN or id its own ARN follows; material, source and policy are the primary's."""
    for name, called in ((ID, ID), (arn("eu-central-1"), arn("us-east-1"))):
        config = folder.load(a_key(name, '["us", "ie"]', 'materials = ["a.key", "b.key"]'))
        primary, us, ie = config.keys()
        assert [each.ref for each in (primary, us, ie)] == [
            arn(each) for each in ("eu-central-1", "us-east-1", "eu-west-1")
        ]
        assert [each.arn for each in (us, ie)] == [us.ref, ie.ref]
        assert us.lane == f"{ACCOUNT}/us-east-1"
        assert (us.locators, us.source, us.policy, us.fleet) == (primary.locators, "files", primary.policy, "a")
        assert list(config.replicas()) == [(primary, us), (primary, ie)]
        assert us.name == called


def test_a_replica_has_the_alias_of_its_primary(folder):
    """Which is an alias of its own lane, found by a look there."""
    primary, us = folder.load(a_key("alias/x", '["us"]')).keys()
    assert (us.ref, us.name, us.arn, us.locator) == (f"{ACCOUNT}/us-east-1/alias/x", "alias/x", ABSENT, "x.key")
    assert primary.ref == f"{ACCOUNT}/eu-central-1/alias/x"


def test_replicas_in_a_key_list(folder):
    """Lanes with bars between them; an empty cell is a key without."""
    config = folder.load(f'{LANES}keys_csv = "keys.csv"\n', keys_csv="key,replicas\nalias/x,us | ie\nalias/y,\n")
    assert [each.ref.partition("/")[2] for each in list(config.keys())] == [
        "eu-central-1/alias/x",
        "us-east-1/alias/x",
        "eu-west-1/alias/x",
        "eu-central-1/alias/y",
    ]


HERE = "byokd.toml:24: fleets.a.keys[0].replicas:"


@pytest.mark.parametrize(
    ("name", "replicas", "told"),
    [
        ("alias/x", '["atlantis"]', 'there is no lane "atlantis" (known here: china, eu, ie, other, us)'),
        ("alias/x", '["eu"]', "lane eu has a key of this family already (one key in each Region)"),
        ("alias/x", '["us", "us"]', "lane us has a key of this family already (one key in each Region)"),
        ("alias/x", '["other"]', "lane other is of another account or partition (a replica is in its primary's)"),
        ("alias/x", '["china"]', "lane china is of another account or partition (a replica is in its primary's)"),
        (
            SINGLE,
            '["us"]',
            f"{SINGLE} is a key of a single Region (only keys whose id begins with mrk- have some)",
        ),
    ],
)
def test_what_cannot_be_a_replica_is_told(folder, name: str, replicas: str, told: str):
    """Before AWS is asked."""
    (problem,) = folder.told(a_key(name, replicas))
    assert problem == f"{HERE} {told}"


def test_a_replica_that_is_written_itself_too_is_told(folder):
    """One of the two is to go."""
    (problem,) = folder.told(a_key(ID, '["us"]', "[[fleets.a.keys]]", f'key = "{arn("us-east-1")}"', 'lane = "us"'))
    assert "is the same key as in byokd.toml:22" in problem
