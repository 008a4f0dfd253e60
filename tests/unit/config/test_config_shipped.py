"""The configs that ship: the example names every setting with its default and bounds, the dev config runs."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from byokd.config.lanes import LOCAL
from byokd.config.load import json_schema, load
from byokd.config.locate import locate
from byokd.config.policy import BUILT_IN

SHIPPED = Path(__file__).parents[3] / "config"
EXAMPLE = (SHIPPED / "byokd.example.toml").read_text(encoding="utf-8")
WHOLE = re.sub(r"(?m)^#: ", "", EXAMPLE)
"""The example with every optional setting in use."""

INHERITED = set(json_schema()["$defs"]["PolicySettings"]["properties"])
TABLES = {
    ("daemon",): "DaemonSettings",
    ("defaults",): "PolicySettings",
    ("defaults", "windows", 0): "WindowSettings",
    ("lanes", "prod-eu"): "LaneSettings",
    ("lanes", "prod-eu", "quotas"): "QuotasSettings",
    ("lanes", "prod-eu", "quotas", "DescribeKey"): "QuotaSettings",
    ("sources", "files"): "FileSource",
    ("sources", "vault"): "CommandSource",
    ("channels", "log"): "LogChannel",
    ("channels", "pager"): "WebhookChannel",
    ("fleets", "payments"): "FleetSettings",
    ("fleets", "payments", "keys", 0): "KeySettings",
    ("local_kms",): "LocalKmsSettings",
}
"""Where the example shows each model of the schema."""

EXAMPLES = {
    ("defaults", "windows", 0, "time_zone"),
    ("lanes", "prod-eu", "quotas"),
    ("sources", "vault", "environment"),
    ("fleets", "payments", "keys"),
}
"""Settings whose default is that there is nothing; the example shows something."""


def _every_setting():
    """Every setting that the example must show: its path, and the schema's word on it."""
    for path, model in TABLES.items():
        for name, setting in json_schema()["$defs"][model]["properties"].items():
            if model not in ("FleetSettings", "KeySettings") or name not in INHERITED:
                yield pytest.param((*path, name), setting, id=".".join(map(str, (*path, name))))


SETTINGS = list(_every_setting())


def test_the_example_shows_every_model():
    """A model added to the schema must find its place in the example."""
    named = {name for name, model in json_schema()["$defs"].items() if model.get("type") == "object"}
    assert named == set(TABLES.values())


@pytest.mark.parametrize(("path", "setting"), SETTINGS)
def test_the_example_names_every_setting(path, setting):
    """A setting that is missing from the example is undocumented, and one that may be left out shows its default."""
    if path == ("defaults", "lane"):
        # Setting it would take their own lane from the ARNs below: it stands there as prose.
        assert re.search(r"^# lane = ", EXAMPLE, re.MULTILINE)
        return
    if path[-1] in ("materials", "replicas"):
        path = (*path[:3], 1, path[-1])  # not for the first key, which has `material` and an ARN of a single Region
    assert path in locate(WHOLE), f"{path} is missing from byokd.example.toml"
    shown = tomllib.loads(WHOLE)
    for part in path:
        shown = shown[part]
    if "default" in setting and path not in EXAMPLES:
        assert shown == setting["default"]


@pytest.mark.parametrize(("path", "setting"), SETTINGS)
def test_the_example_tells_the_bounds(path, setting):
    """The bounds and choices in a setting's description stand in the example too."""
    described = " ".join(setting.get("description", "").split())
    explained = " ".join(EXAMPLE.replace("\n#", "\n").split())
    for bounds in re.findall(r"from (\S+ to (?:below )?[\w%]+)", described):
        assert f"from {bounds}" in explained, f"{path}: from {bounds}"


@pytest.mark.parametrize("text", [EXAMPLE, WHOLE], ids=["as it ships", "with every setting in use"])
def test_the_example_loads(tmp_path, text):
    """The example is a valid config, as it is and with all that is commented out."""
    (tmp_path / "byokd.toml").write_text(text, encoding="utf-8")
    (tmp_path / "payments.csv").write_text("key,material\nalias/payments-3,3.key\n", encoding="utf-8")
    config = load(tmp_path / "byokd.toml")
    assert len(list(config.keys())) == (5 if text is WHOLE else 3)


def test_the_example_shows_the_built_in_policy():
    """What the example shows in [defaults] is what holds without it."""
    shown = tomllib.loads(WHOLE)["defaults"]
    built_in = BUILT_IN.model_dump(mode="json", exclude_none=True)
    assert {name: value for name, value in shown.items() if name in built_in} == built_in


def test_the_dev_config_runs_twelve_short_lived_keys():
    """Two fleets of six, reached by alias in the local KMS, that live one to three minutes."""
    config = load(SHIPPED / "byokd.dev.toml")
    keys = list(config.keys())
    assert sorted(key.name for key in keys) == sorted(
        f"alias/{fleet}-{number}" for fleet in ("payments", "archive") for number in range(1, 7)
    )
    assert {lane.endpoint for lane in config.lanes.values()} == {LOCAL}
    assert config.local_kms is not None
    assert config.local_kms.create_missing_keys
    assert config.local_kms.create_missing_material
    assert config.local_kms.address == ("127.0.0.1", 0)
    lives = [key.policy.valid_for for key in keys if isinstance(key.policy.valid_for, timedelta)]
    assert (min(lives), max(lives), len(lives)) == (timedelta(minutes=1), timedelta(minutes=3), 12)


def test_the_dev_config_has_time_to_act():
    """Even the shortest life leaves several seconds for each tier, and for every key's import at the lane's pace."""
    config = load(SHIPPED / "byokd.dev.toml")
    per_second = config.lanes["local"].quotas["GetParametersForImport"].per_second
    for key in list(config.keys()):
        life, lead = key.policy.valid_for, key.policy.renew_before
        assert isinstance(life, timedelta)
        emergency = life * key.policy.emergency_share
        assert emergency >= timedelta(seconds=5)
        assert lead - emergency >= timedelta(seconds=12 / per_second)
