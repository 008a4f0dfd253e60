"""What a sound config comes to: merged files, inherited policies, keys as facts."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from byokd.config.diff import needs_restart
from byokd.config.schema import CommandSource, LogChannel
from byokd.facts.condition import Severity
from byokd.facts.key import ABSENT, NEVER, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.kinds import AUTO
from byokd.facts.policy import OnLoss, Policy, Quota

from .conftest import LANE, PARTS, SOURCE

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{ID}"


def test_an_empty_config_is_a_config(folder):
    """Nothing is required: without fleets there is nothing to do, and alerts go to the log."""
    config = folder.load("")
    assert list(config.keys()) == []
    assert config.channels == {"log": LogChannel(type="log")}
    assert config.channels["log"].severity is Severity.INFO
    assert config.local_kms is None


def test_the_built_in_policy(folder):
    """What holds where nobody says otherwise."""
    (key,) = folder.load(f'{PARTS}[fleets.a]\nkeys = [{{ key = "{ARN}" }}]\n').keys()
    assert key.policy == Policy(
        valid_for=timedelta(days=90),
        renew_before=timedelta(days=30),
        emergency_share=0.05,
        spread=timedelta(days=3),
        renewal_floor=timedelta(hours=1),
        on_lapse=OnLoss.HEAL,
        on_foreign_delete=OnLoss.HEAL,
        wrapping_algorithm=AUTO,
        wrapping_key_spec=AUTO,
        alert_before=tuple(timedelta(days=days) for days in (30, 14, 7, 3, 1)),
        look_every=timedelta(hours=6),
        drill_every=timedelta(days=1),
        settle_for=timedelta(minutes=2),
    )


def test_every_wrapping_can_be_asked_for(folder):
    """What the policy fixes is kept, and the other half stays for byokd to choose."""
    for algorithm in WrappingAlgorithm:
        (key,) = folder.load(
            f'{PARTS}[fleets.a]\nwrapping_algorithm = "{algorithm}"\nkeys = [{{ key = "{ARN}" }}]\n'
        ).keys()
        assert (key.policy.wrapping_algorithm, key.policy.wrapping_key_spec) == (algorithm, AUTO)
    for spec in WrappingKeySpec:
        (key,) = folder.load(f'{PARTS}[fleets.a]\nwrapping_key_spec = "{spec}"\nkeys = [{{ key = "{ARN}" }}]\n').keys()
        assert (key.policy.wrapping_algorithm, key.policy.wrapping_key_spec) == (AUTO, spec)


PROBES = ("Encrypt", "Decrypt", "Sign", "Verify", "GenerateMac", "VerifyMac", "DeriveSharedSecret", "GetPublicKey")


def test_the_built_in_quotas(folder):
    """Every operation that byokd calls has a quota, and settings replace one at a time."""
    config = folder.load(f"{LANE}quotas.GetParametersForImport = {{ per_second = 0.5 }}\n")
    assert config.lanes["eu"].quotas == {
        "GetParametersForImport": Quota(per_second=0.5, burst=1, ceiling=0.5),
        "ImportKeyMaterial": Quota(per_second=5, burst=5, ceiling=5),
        "DescribeKey": Quota(per_second=100, burst=100, ceiling=100),
        "ListKeyRotations": Quota(per_second=25, burst=25, ceiling=25),
        "DeleteImportedKeyMaterial": Quota(per_second=5, burst=5, ceiling=5),
        "ListKeys": Quota(per_second=50, burst=50, ceiling=50),
        "ListAliases": Quota(per_second=50, burst=50, ceiling=50),
        "ListResourceTags": Quota(per_second=100, burst=100, ceiling=100),
        "GetKeyPolicy": Quota(per_second=100, burst=100, ceiling=100),
        "CreateKey": Quota(per_second=5, burst=1, ceiling=5),
        "CreateAlias": Quota(per_second=5, burst=1, ceiling=5),
        "ReplicateKey": Quota(per_second=5, burst=1, ceiling=5),
        "RotateKeyOnDemand": Quota(per_second=5, burst=5, ceiling=5),
        **dict.fromkeys(PROBES, Quota(per_second=10, burst=10, ceiling=10)),
    }


def test_a_share_of_every_quota_is_taken(folder):
    """Burst never falls below one request, and the ceiling shrinks with the rest."""
    config = folder.load(f'{LANE}quota_share = "50%"\n')
    assert config.lanes["eu"].quotas == {
        "GetParametersForImport": Quota(per_second=0.125, burst=1, ceiling=0.125),
        "ImportKeyMaterial": Quota(per_second=2.5, burst=2.5, ceiling=2.5),
        "DescribeKey": Quota(per_second=50, burst=50, ceiling=50),
        "ListKeyRotations": Quota(per_second=12.5, burst=12.5, ceiling=12.5),
        "DeleteImportedKeyMaterial": Quota(per_second=2.5, burst=2.5, ceiling=2.5),
        "ListKeys": Quota(per_second=25, burst=25, ceiling=25),
        "ListAliases": Quota(per_second=25, burst=25, ceiling=25),
        "ListResourceTags": Quota(per_second=50, burst=50, ceiling=50),
        "GetKeyPolicy": Quota(per_second=50, burst=50, ceiling=50),
        "CreateKey": Quota(per_second=2.5, burst=1, ceiling=2.5),
        "CreateAlias": Quota(per_second=2.5, burst=1, ceiling=2.5),
        "ReplicateKey": Quota(per_second=2.5, burst=1, ceiling=2.5),
        "RotateKeyOnDemand": Quota(per_second=2.5, burst=2.5, ceiling=2.5),
        **dict.fromkeys(PROBES, Quota(per_second=5, burst=5, ceiling=5)),
    }


def test_policies_are_inherited_setting_by_setting(folder):
    """Defaults, fleet and key each say what they want; the innermost counts."""
    config = folder.load(
        f'{PARTS}[defaults]\nvalid_for = "60d"\nspread = "1h"\non_lapse = "report"\n'
        f'[fleets.a]\nvalid_for = "30d"\nrenew_before = "50%"\n'
        f'[[fleets.a.keys]]\nkey = "alias/x"\nspread = "2h"\n[[fleets.a.keys]]\nkey = "alias/y"\nvalid_for = "never"\n'
    )
    x, y = (key.policy for key in list(config.keys()))
    assert (x.valid_for, x.renew_before, x.spread, x.on_lapse) == (
        timedelta(days=30),
        timedelta(days=15),
        timedelta(hours=2),
        OnLoss.REPORT,
    )
    assert (y.valid_for, y.renew_before, y.spread) == (NEVER, timedelta(days=45), timedelta(hours=1))


def test_keys_are_facts(folder):
    """A key has its lane, its ref, and a locator even where the config names none."""
    config = folder.load(
        f'{PARTS}[fleets.a]\nkeys = [{{ key = "{ID}" }}, {{ key = "alias/team/x", material = "x.bin" }}]\n'
    )
    by_id, by_alias = config.keys()
    assert (by_id.ref, by_id.arn, by_id.name, by_id.lane) == (ARN, ARN, ID, "111122223333/eu-central-1")
    assert (by_id.locator, by_id.source, by_id.fleet) == (f"{ID}.key", "files", "a")
    assert (by_alias.ref, by_alias.arn) == ("111122223333/eu-central-1/alias/team/x", ABSENT)
    assert by_alias.locator == "x.bin"


def test_a_command_is_given_the_short_name(folder):
    """Without `material` a command gets the key id, or the alias without its prefix."""
    config = folder.load(
        f'{LANE}[sources.c]\ntype = "command"\nargv = ["/bin/get", "{{locator}}"]\n'
        f'[fleets.a]\nkeys = [{{ key = "{ID}" }}, {{ key = "alias/x" }}]\n'
    )
    assert [key.locator for key in list(config.keys())] == [ID, "x"]
    assert isinstance(config.sources["c"], CommandSource)


def test_an_arn_finds_its_lane(folder):
    """Among several lanes, an ARN needs none named."""
    other = '[lanes.us]\naccount = "111122223333"\nregion = "us-east-1"\n'
    config = folder.load(f'{PARTS}{other}[fleets.a]\nkeys = [{{ key = "{ARN.replace("eu-central", "us-east")}" }}]\n')
    assert [key.lane for key in list(config.keys())] == ["111122223333/us-east-1"]


def test_paths_start_at_the_main_file(folder):
    """Relative paths mean the same from every directory, in conf.d as in the main file."""
    config = folder.load('[daemon]\nstate_dir = "../state"\n', conf_d__a_toml=SOURCE)
    assert config.daemon.state_dir == folder.path.parent / "state"
    assert config.sources["files"].directory == folder.path / "material"


def test_files_beside_it_are_merged(folder):
    """Tables merge and keys add up over the main file and conf.d."""
    keys = '[[fleets.a.keys]]\nkey = "alias/{}"\n'
    config = folder.load(
        f"{PARTS}{keys.format('x')}",
        conf_d__b_toml=keys.format("z"),
        conf_d__a_toml=f'[fleets.a]\nvalid_for = "30d"\n{keys.format("y")}',
        conf_d__note_txt="not TOML",
    )
    assert [key.name for key in list(config.keys())] == ["alias/x", "alias/y", "alias/z"]
    assert {key.policy.valid_for for key in list(config.keys())} == {timedelta(days=30)}
    assert [file.name for file in config.files] == ["byokd.toml", "a.toml", "b.toml"]


def test_a_setting_in_two_files_is_a_problem(folder):
    """Neither file wins: both are named."""
    told = folder.told('[daemon]\nsafety_wake = "1s"\n', conf_d__a_toml='\n[daemon]\nsafety_wake = "2s"\n')
    assert told == ["conf.d/a.toml:3: daemon.safety_wake: is given already in byokd.toml:2 (keep one of the two)"]


def test_a_bad_key_is_told_in_its_own_file(folder):
    """Keys of several files keep their lines, though they become one list."""
    told = folder.told(
        f'{PARTS}[[fleets.a.keys]]\nkey = "alias/x"\n', conf_d__a_toml='\n[[fleets.a.keys]]\nkey = "y"\n'
    )
    assert [each.split(": ")[:2] for each in told] == [["conf.d/a.toml:3", "fleets.a.keys[1].key"]]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("", '[daemon]\nhistory_for = "30d"\n[defaults]\nvalid_for = "30d"\n', ()),
        ("", LANE, ()),
        ("", '[daemon]\nsocket = "/run/b.sock"\n', ("daemon.socket: /run/byokd/byokd.sock -> /run/b.sock",)),
        ("", '[daemon]\nsafety_wake = "5s"\n', ("daemon.safety_wake: 1m -> 5s",)),
        ("", "[local_kms]\n", ("local_kms",)),
    ],
    ids=["policy and history", "a lane", "the socket", "the safety wake", "the local KMS"],
)
def test_what_needs_a_restart(folder, before, after, lines):
    """A reload says which changes wait for a restart, in the config's own words."""
    assert needs_restart(folder.load(before), folder.load(after)) == lines


def test_settings_do_not_show_webhook_urls(folder):
    """A webhook's URL is a secret: no repr has it."""
    config = folder.load('[channels.x]\ntype = "webhook"\nurl = "https://hooks.example/s3cr3t"\n')
    assert "s3cr3t" not in repr(config.channels)


def test_a_log_gathers_nothing_and_a_webhook_for_an_hour(folder):
    """A log is a record of each key; who is woken is told together of what breaks together, unless that is unwanted."""
    hook = '[channels.{}]\ntype = "webhook"\nurl = "https://hooks.example/"\n{}\n'
    config = folder.load(
        '[channels.log]\ntype = "log"\n' + hook.format("pager", "") + hook.format("each", 'gather_for = "0s"')
    )
    gathers_for = {name: channel.gathers_for for name, channel in config.channels.items()}
    assert gathers_for == {"log": timedelta(), "pager": timedelta(hours=1), "each": timedelta()}


def test_settings_are_json_in_the_configs_own_notation(folder):
    """What commands show of the settings can be pasted back into a config."""
    daemon = folder.load("").daemon.model_dump(mode="json")
    assert json.loads(json.dumps(daemon))["history_for"] == "400d"
