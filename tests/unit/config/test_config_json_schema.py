"""The JSON Schema for editors."""

from __future__ import annotations

import json
import re

import pytest

from byokd.config.load import json_schema

SCHEMA = json_schema()
MODELS = {"(root)": SCHEMA, **{name: model for name, model in SCHEMA["$defs"].items() if "properties" in model}}


def test_it_is_draft_2020_12():
    """Editors need to know which dialect they read."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$defs"]
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_is_described(model):
    """A setting without a description is a setting that nobody can use."""
    assert MODELS[model]["description"]
    undescribed = [name for name, each in MODELS[model]["properties"].items() if not each.get("description")]
    assert not undescribed


@pytest.mark.parametrize("model", MODELS)
def test_unknown_settings_are_refused(model):
    """Editors underline what loading would refuse."""
    assert MODELS[model]["additionalProperties"] is False


@pytest.mark.parametrize("model", MODELS)
def test_every_optional_setting_tells_its_default(model):
    """The description says what holds where the setting is left out."""
    required = MODELS[model].get("required", [])
    tables = {"daemon", "defaults", "lanes", "sources", "fleets", "quotas"}
    silent = [
        name
        for name, each in MODELS[model]["properties"].items()
        if name not in required and name not in tables and "Default" not in each["description"]
    ]
    assert not silent


def test_references_lead_somewhere():
    """Every $ref names a definition that is there."""
    refs = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert refs <= set(SCHEMA["$defs"])


def test_there_is_no_null():
    """TOML has no null, so the schema offers none."""
    assert '"null"' not in json.dumps(SCHEMA)


@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("valid_for", ["90d", "1h30m", "never"], ["90", "", "1/3", "30m1h"]),
        ("renew_before", ["30d", "33%", "1/3"], ["third", "never", "1/0"]),
        ("emergency_share", ["5%", "0.5%", "1/20"], ["5", "1d", "%"]),
    ],
)
def test_quantities_have_patterns(setting, good, bad):
    """The schema knows how durations and shares are written."""
    pattern = SCHEMA["$defs"]["PolicySettings"]["properties"][setting]["pattern"]
    assert [text for text in good if not re.search(pattern, text)] == []
    assert [text for text in bad if re.search(pattern, text)] == []


def test_defaults_are_in_the_configs_own_notation():
    """A default shows as it would be written, not as ISO 8601."""
    assert SCHEMA["$defs"]["DaemonSettings"]["properties"]["history_for"]["default"] == "400d"
    assert SCHEMA["$defs"]["LaneSettings"]["properties"]["reserve"]["default"] == "20%"
