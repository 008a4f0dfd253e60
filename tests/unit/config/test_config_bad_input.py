"""Every kind of bad input, and the sentence a person gets for it: file, line, place, what is wrong, the way out."""

from __future__ import annotations

import os

import pytest

from byokd.config.load import Problem

from .conftest import LANE, PARTS, SOURCE

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{ID}"
FLEET = "[fleets.a]\n"
NO_DAY = 'names no day that exists (as in crontab(5), for example "0 2 * * sat")'


def key(name: str, **settings: str) -> str:
    written = "".join(f'{setting} = "{value}"\n' for setting, value in settings.items())
    return f'[[fleets.a.keys]]\nkey = "{name}"\n{written}'


ONE_PROBLEM = {
    "broken TOML": ("a = 1\nb = \n", "byokd.toml:2: is not TOML: Invalid value (see https://toml.io)"),
    "TOML that ends too soon": (
        "[daemon]\nx = [\n",
        "byokd.toml:3: is not TOML: Invalid value (see https://toml.io)",
    ),
    "an unknown table": ("[deamon]\n", "byokd.toml:1: deamon: unknown setting (did you mean daemon?)"),
    "an unknown setting": (
        '[daemon]\nskew_treshold = "30s"\n',
        "byokd.toml:2: daemon.skew_treshold: unknown setting (did you mean skew_threshold?)",
    ),
    "a setting that is nothing like any other": (
        "[local_kms]\nfrobnicate = 1\n",
        "byokd.toml:2: local_kms.frobnicate: unknown setting "
        "(known here: admin, create_missing_keys, create_missing_material, friendly, listen, rate, seed, state)",
    ),
    "a duration without unit": (
        '[daemon]\nsafety_wake = "90"\n',
        'byokd.toml:2: daemon.safety_wake: "90": durations need a unit: s, m, h, d, w (write for example "90s")',
    ),
    "a life of more than a year": (
        '[defaults]\nvalid_for = "366d"\n',
        "byokd.toml:2: defaults.valid_for: 366d is out of bounds (from 10s to 365d, or never)",
    ),
    "a renewal before the import": (
        '[defaults]\nvalid_for = "10d"\nrenew_before = "20d"\n',
        "byokd.toml:3: defaults.renew_before: renew_before (20d) must be shorter than valid_for (10d) "
        "(a share such as 1/3 always is)",
    ),
    "a wrapping that AWS has retired": (
        '[defaults]\nwrapping_algorithm = "RSAES_PKCS1_V1_5"\n',
        'byokd.toml:2: defaults.wrapping_algorithm: "RSAES_PKCS1_V1_5" cannot be used: '
        "AWS has not taken it since 10 October 2023 (leave it out, and byokd chooses)",
    ),
    "a wrapping of China Regions that byokd does not have": (
        '[defaults]\nwrapping_algorithm = "SM2PKE"\n',
        'byokd.toml:2: defaults.wrapping_algorithm: "SM2PKE" cannot be used: '
        "byokd does not have the ciphers that it takes, which AWS has in China Regions only "
        "(leave it out, and byokd chooses)",
    ),
    "a wrapping key that does not exist": (
        '[defaults]\nwrapping_key_spec = "RSA_4069"\n',
        'byokd.toml:2: defaults.wrapping_key_spec: "RSA_4069" is not known here (did you mean RSA_4096?)',
    ),
    "a floor that leaves no room": (
        '[defaults]\nvalid_for = "90m"\n',
        "byokd.toml:2: defaults.valid_for: renew_before (30m), spread (3m) and renewal_floor (1h) do not fit into "
        "valid_for (1h30m) (a renewal_floor below 57m would fit)",
    ),
    "an emergency before the renewal": (
        '[defaults]\nemergency_share = "50%"\n',
        "byokd.toml:2: defaults.emergency_share: emergency_share (50%, 45d) must begin after renew_before (30d) "
        "(lower emergency_share, or renew earlier)",
    ),
    "a window that opens too seldom": (
        '[defaults]\nwindows = [{ cron = "0 2 1 * *", for = "4h" }]\n',
        "byokd.toml:2: defaults.windows: windows are closed for up to 30d20h, and a renewal is routine for only 15d "
        "(from renew_before, 30d, until it is urgent) (open them more often, or renew earlier)",
    ),
    "a window that never opens": (
        '[defaults]\nwindows = [{ cron = "0 2 31 2 *", for = "4h" }]\n',
        f'byokd.toml:2: defaults.windows[0].cron: "0 2 31 2 *": {NO_DAY}',
    ),
    "a window that never opens, for material that never expires": (
        '[defaults]\nvalid_for = "never"\nwindows = [{ cron = "0 2 31 2 *", for = "4h" }]\n',
        f'byokd.toml:3: defaults.windows[0].cron: "0 2 31 2 *": {NO_DAY}',
    ),
    "a window that never opens, beside one that does": (
        '[defaults]\nwindows = [{ cron = "0 2 * * *", for = "4h" }, { cron = "0 2 31 4,6 *", for = "4h" }]\n',
        f'byokd.toml:2: defaults.windows[1].cron: "0 2 31 4,6 *": {NO_DAY}',
    ),
    "a window on leap days": (
        '[defaults]\nwindows = [{ cron = "0 2 29 2 *", for = "4h" }]\n',
        "byokd.toml:2: defaults.windows: windows are closed for 670d18h and more, and a renewal is routine for only "
        "15d (from renew_before, 30d, until it is urgent) (open them more often, or renew earlier)",
    ),
    "a window on leap days that are Sundays": (
        '[defaults]\nwindows = [{ cron = "0 2 29 2 */7", for = "4h" }]\n',
        "byokd.toml:2: defaults.windows: windows are closed for 1095d and more, and a renewal is routine for only 15d "
        "(from renew_before, 30d, until it is urgent) (open them more often, or renew earlier)",
    ),
    "a lead too short for the fleet's windows": (
        f'{PARTS}{FLEET}windows = [{{ cron = "0 2 * * sat", for = "4h" }}]\n{key("alias/x", renew_before="12d")}',
        "byokd.toml:11: fleets.a.keys[0].renew_before: windows are closed for up to 6d20h, and a renewal is routine "
        "for only 6d (from renew_before, 12d, until it is urgent) (open them more often, or renew earlier)",
    ),
    "a window without a cron": (
        '[defaults]\nwindows = [{ for = "4h" }]\n',
        "byokd.toml:2: defaults.windows[0].cron: is missing (When it opens, by the clock of `time_zone`: minute, hour, "
        "day of month, month, day of week, as in crontab(5))",
    ),
    "a cron that is none": (
        '[defaults]\nwindows = [{ cron = "0 25 * * *", for = "4h" }]\n',
        "byokd.toml:2: defaults.windows[0].cron: \"0 25 * * *\": '25' is no hour: from 0 to 23 "
        '(as in crontab(5), for example "0 2 * * sat")',
    ),
    "a window without end": (
        '[defaults]\nwindows = [{ cron = "0 2 * * *", for = "8d" }]\n',
        "byokd.toml:2: defaults.windows[0].for: 8d is out of bounds (from 1m to 7d)",
    ),
    "a time zone that is none": (
        '[defaults]\nwindows = [{ cron = "0 2 * * *", for = "4h", time_zone = "Europe/Atlantis" }]\n',
        "byokd.toml:2: defaults.windows[0].time_zone: 'Europe/Atlantis' is no time zone that this machine knows "
        '(a name of the time zone database, such as "Europe/Berlin" (Debian has it in the package tzdata))',
    ),
    "a time zone of this machine alone": (
        '[defaults]\nwindows = [{ cron = "0 2 * * *", for = "4h", time_zone = "localtime" }]\n',
        "byokd.toml:2: defaults.windows[0].time_zone: 'localtime' is the time zone of no place, and may be another one "
        'on each machine (a name of the time zone database, such as "Europe/Berlin" (Debian has it in the package '
        "tzdata))",
    ),
    "a material named twice": (
        PARTS + FLEET + key("alias/x") + 'materials = ["a.key", "b.key", "a.key"]\n',
        'byokd.toml:10: fleets.a.keys[0].materials: names "a.key" twice (each material of a key is another one)',
    ),
    "one material beside several": (
        PARTS + FLEET + key("alias/x", material="a.key") + 'materials = ["a.key", "b.key"]\n',
        "byokd.toml:11: fleets.a.keys[0].materials: stands beside material (keep one of the two: materials names all "
        "of them)",
    ),
    "a material outside the source's directory": (
        PARTS + FLEET + key("alias/x") + 'materials = ["a.key", "/b.key"]\n',
        'byokd.toml:10: fleets.a.keys[0].materials: "/b.key" is not inside the source\'s directory '
        "(a path relative to material)",
    ),
    "a priority beyond all others": (
        "[defaults]\npriority = 1000\n",
        "byokd.toml:2: defaults.priority: must be less than or equal to 100 (Whose routine renewals, and whose lapsed "
        "keys, the lane serves first: the higher number, from -100 to 100. Between keys near their deadlines the "
        "deadline alone decides)",
    ),
    "a choice that does not exist": (
        '[defaults]\non_lapse = "heel"\n',
        'byokd.toml:2: defaults.on_lapse: "heel" is not known here (did you mean heal?)',
    ),
    "an account without quotes": (
        '[lanes.eu]\nregion = "eu-central-1"\naccount = 111122223333\n',
        "byokd.toml:3: lanes.eu.account: must be text (write it in quotes)",
    ),
    "a required setting left out": (
        '[lanes.eu]\nregion = "eu-central-1"\n',
        "byokd.toml:1: lanes.eu.account: is missing (The account's twelve digits, in quotes. "
        "byokd refuses to work with credentials of any other account)",
    ),
    "a lane twice": (
        f'{LANE}[lanes.again]\naccount = "111122223333"\nregion = "eu-central-1"\n',
        "byokd.toml:5: lanes.again.account: is the same account and Region as lane eu in byokd.toml:1 "
        "(keep one of them)",
    ),
    "a local endpoint without local KMS": (
        f'{LANE}endpoint = "local"\n',
        "byokd.toml:4: lanes.eu.endpoint: there is no local KMS (add [local_kms], or write the endpoint's URL)",
    ),
    "a source without type": ("[sources.s]\n", "byokd.toml:1: sources.s.type: is missing (known here: command, file)"),
    "a source of unknown type": (
        '[sources.s]\ntype = "flie"\n',
        'byokd.toml:2: sources.s.type: "flie" is not known here (did you mean file?)',
    ),
    "a command that ignores the locator": (
        '[sources.s]\ntype = "command"\nargv = ["/bin/cat"]\n',
        "byokd.toml:3: sources.s.argv: gives every key the same material "
        "(put {locator} where the key's locator belongs)",
    ),
    "a local KMS for everybody": (
        '[local_kms]\nlisten = "0.0.0.0:80"\n',
        'byokd.toml:2: local_kms.listen: "0.0.0.0:80" is not an address of this machine alone '
        "(127.0.0.1:PORT, port 0 for a free one)",
    ),
    "an unknown lane": (
        f'{PARTS}[fleets.a]\nlane = "eeu"\n',
        'byokd.toml:8: fleets.a.lane: there is no lane "eeu" (did you mean eu?)',
    ),
    "an unknown source": (
        f"{PARTS}{FLEET}{key('alias/x', source='file')}",
        'byokd.toml:10: fleets.a.keys[0].source: there is no source "file" (did you mean files?)',
    ),
    "an ARN of another Region than its lane": (
        f"{PARTS}{FLEET}{key(ARN.replace('eu-central', 'us-east'), lane='eu')}",
        "byokd.toml:9: fleets.a.keys[0].key: is in 111122223333/us-east-1, but its lane eu is "
        "111122223333/eu-central-1 (correct the ARN, or add a lane for it)",
    ),
    "an ARN of another account than any lane": (
        f"{PARTS}{FLEET}{key(ARN.replace('1111', '9999'))}",
        "byokd.toml:9: fleets.a.keys[0].key: is in 999922223333/eu-central-1, and no lane is "
        "(add a lane with this account and region)",
    ),
    "an ARN in the wrong one of two lanes": (
        f'{PARTS}[lanes.us]\naccount = "111122223333"\nregion = "us-east-1"\n{FLEET}{key(ARN, lane="us")}',
        "byokd.toml:12: fleets.a.keys[0].key: is in 111122223333/eu-central-1, but its lane us is "
        '111122223333/us-east-1 (did you mean lane = "eu"?)',
    ),
    "an alias without lane": (
        f'{PARTS}[lanes.us]\naccount = "111122223333"\nregion = "us-east-1"\n{FLEET}{key("alias/x")}',
        "byokd.toml:12: fleets.a.keys[0].key: needs a lane: only an ARN tells its own "
        '(add lane = "..." here, to the fleet or to [defaults])',
    ),
    "an alias that AWS owns": (
        f"{PARTS}{FLEET}{key('alias/aws/s3')}",
        'byokd.toml:9: fleets.a.keys[0].key: "alias/aws/s3" names a key that AWS manages '
        "(only keys of your own can hold imported material)",
    ),
    "a key without source": (
        f"{LANE}{FLEET}{key('alias/x')}",
        "byokd.toml:5: fleets.a.keys[0].source: is missing, and there is not just one to take (name one of [sources])",
    ),
    "one key by ARN and by id": (
        f"{PARTS}{FLEET}{key(ARN)}{key(ID)}",
        f"byokd.toml:10: fleets.a.keys[1]: {ID} is the same key as in byokd.toml:8 (keep one of the two)",
    ),
    "material outside its directory": (
        f"{PARTS}{FLEET}{key('alias/x', material='../x')}",
        'byokd.toml:10: fleets.a.keys[0].material: "../x" is not inside the source\'s directory '
        "(a path relative to material)",
    ),
    "a key list that does not exist": (
        f'{FLEET}keys_csv = "nope.csv"\n',
        "byokd.toml:2: fleets.a.keys_csv: nope.csv cannot be read: No such file or directory "
        "(check path and permissions)",
    ),
    "a table that is none": ("daemon = 3\n", "byokd.toml:1: daemon: must be a table ([daemon])"),
    "keys that are no list": (
        "[fleets.a]\nkeys = 3\n",
        "byokd.toml:2: fleets.a.keys: must be a list (Keys written here, as `[[fleets.NAME.keys]]`)",
    ),
    "a name that cannot be one": (
        '["fleets"."a b"]\n',
        'byokd.toml:1: fleets.a b: "a b" cannot be a name here (1 to 64 letters, digits, - or _)',
    ),
    "nesting without end": (
        "a." * 5000 + "a = 1\n",
        "byokd.toml: is nested too deeply (no setting needs more than six levels)",
    ),
}


@pytest.mark.parametrize(("text", "told"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_bad_input_is_told_in_one_sentence(folder, text, told):
    """One mistake makes one problem, with its line and the way out."""
    assert folder.told(text) == [told]


def test_all_problems_are_told_at_once(folder):
    """A mistake hides no other: neither in its own table, nor across tables, nor in a file beside it."""
    told = folder.told(
        f'[daemon]\nlog_level = "loud"\nstop_timeout = "1h"\n'
        f'{PARTS}{FLEET}lane = "ue"\n{key("payments", valid_for="1y")}',
        conf_d__b_toml='[fleets.b]\nkeys_csv = "b.csv"\nvalid_fro = "1d"\n',
        b_csv="key,valid_for\nalias/x,400d\nalias/x,\n",
    )
    assert [each.partition(" ")[0] for each in told] == [
        "b.csv:2:",
        "byokd.toml:2:",
        "byokd.toml:3:",
        "byokd.toml:11:",
        "byokd.toml:13:",
        "byokd.toml:14:",
        "conf.d/b.toml:3:",
    ]


def test_what_a_bad_lane_would_have_been_is_not_told_too(folder):
    """Keys of a lane that is wrong itself are not called wrong for it."""
    told = folder.told(f'{LANE}call_timeout = "5"\nregoin = "x"\n{SOURCE}{FLEET}lane = "eu"\n{key(ARN)}')
    assert [each.split(": ")[1] for each in told] == ["lanes.eu.call_timeout", "lanes.eu.regoin"]
    told = folder.told(f'[lanes.eu]\naccount = "1"\nregion = "eu-central-1"\n{SOURCE}{FLEET}{key(ARN)}{key(ID)}')
    assert [each.split(": ")[1] for each in told] == ["lanes.eu.account"]


def test_a_policy_is_judged_where_the_odd_value_is_written(folder):
    """A conflict is laid at the innermost of the settings that make it, and the fleet's own is told without any key."""
    told = folder.told(
        f'{PARTS}{FLEET}renew_before = "60d"\n{key("alias/x", valid_for="50d")}[fleets.b]\nspread = "99%"\n'
        '[fleets.c]\nvalid_for = "1h"\n'
    )
    assert [each.split(": ")[1] for each in told] == ["fleets.a.keys[0].valid_for", "fleets.c.valid_for"]


def test_windows_for_rotations_may_be_far_apart(folder):
    """Where material never expires, nothing is lost by waiting for a window that opens twice a year."""
    rotated = 'valid_for = "never"\nrotate_every = "365d"\nwindows = [{ cron = "0 2 1 */6 *", for = "4h" }]\n'
    assert len(list(folder.load(f"{PARTS}[defaults]\n{rotated}{FLEET}{key('alias/x')}").keys())) == 1


def test_a_wrapping_that_a_region_does_not_have(folder):
    """Told once for each lane, where it is written: China Regions have no RSA_AES_KEY_WRAP."""
    china = '[lanes.cn]\naccount = "111122223333"\nregion = "cn-north-1"\n'
    arn = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890a"
    fleet = '[fleets.a]\nwrapping_algorithm = "RSA_AES_KEY_WRAP_SHA_256"\n'
    assert folder.told(china + SOURCE + fleet + "".join(key(f"{arn}{digit}") for digit in "abc")) == [
        "byokd.toml:8: fleets.a.wrapping_algorithm: AWS takes RSA_AES_KEY_WRAP_SHA_256 for no key in cn-north-1 "
        "(leave it out, and byokd chooses)"
    ]
    assert folder.load(PARTS + fleet + key(ARN)).keys()


def test_secrets_are_not_repeated(folder):
    """A URL that is refused is not quoted: who reads the log must not learn it."""
    told = folder.told(
        '[channels.x]\ntype = "webhook"\nurl = "ftp://hooks.example/s3cr3t"\n'
        '[lanes.eu]\naccount = "111122223333"\nregion = "eu-central-1"\nendpoint = "https://u:s3cr3t@kms"\n'
    )
    assert len(told) == 2
    assert "s3cr3t" not in "".join(told)


def test_control_characters_do_not_reach_the_terminal(folder):
    """What was written is shown escaped, so that a config cannot draw on the screen of who checks it."""
    (told,) = folder.told('[defaults]\non_lapse = "\\u001b[2J"\n')
    assert "\x1b" not in told
    assert "\\u001b[2J" in told


def test_a_problem_knows_its_parts(folder):
    """Commands with --json show a problem's parts one by one."""
    (problem,) = folder.problems('[daemon]\nlog_level = "inf"\n')
    assert problem == Problem(
        file=str(folder.path / "byokd.toml"),
        line=2,
        where="daemon.log_level",
        what='"inf" is not known here',
        hint="did you mean info?",
    )


UNREADABLE = {
    "missing": (lambda file: None, "cannot be read: No such file or directory"),
    "a directory": (lambda file: file.mkdir(), "cannot be read: Is a directory"),
    "not UTF-8": (lambda file: file.write_bytes(b"\n\xff"), "is not UTF-8"),
    "too large": (lambda file: file.write_bytes(b"#" * (16 * 1024 * 1024 + 1)), "is larger than 16777216 bytes"),
}


@pytest.mark.parametrize(("make", "what"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_a_problem(folder, make, what):
    """A main file that is not there, or not text, is told like any other mistake."""
    make(folder.path / "byokd.toml")
    (told,) = folder.told()
    assert what in told


def test_a_pipe_is_not_waited_for(folder):
    """A FIFO in the place of a file is refused, not read until somebody writes."""
    os.mkfifo(folder.path / "byokd.toml")
    (told,) = folder.told()
    assert "is not a file" in told
