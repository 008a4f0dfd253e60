"""What the models' own words say is what they do."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from byokd.config import schema
from byokd.config.quantities import format_duration, parse_duration
from byokd.config.settings import Settings

MODELS = [
    model for name in schema.__all__ if isinstance(model := getattr(schema, name), type) and issubclass(model, Settings)
]
BOUNDS = re.compile(r"from (?P<least>[\w.%]+) to (?P<below>below )?(?P<most>[\w%]+)")


def _bounded():
    for model in MODELS:
        for name, field in model.model_fields.items():
            if bounds := BOUNDS.search(" ".join((field.description or "").split())):
                yield pytest.param(field, bounds, id=f"{model.__name__}.{name}")


def _value(text):
    return float(text) if "." in text and text[-1].isdigit() else int(text) if text.isdigit() else text


def _beyond(text, step):
    """The nearest value outside a bound, as it would be written; None where nothing can be."""
    if text.endswith("%"):
        return f"{float(text[:-1]) + step / 100:g}%"
    value = _value(text)
    if isinstance(value, str):
        moved = parse_duration(value) + timedelta(seconds=step)
        return format_duration(moved) if moved >= timedelta() else None
    return value + step / 10_000 if isinstance(value, float) else value + step


@pytest.mark.parametrize(("field", "bounds"), list(_bounded()))
def test_described_bounds_are_the_bounds(field, bounds):
    """The least and the most that a description names are taken; a step beyond either is not."""
    adapter = TypeAdapter(field.rebuild_annotation())
    many = "tuple" in str(field.annotation)

    def takes(value):
        try:
            adapter.validate_python([value] if many else value)
        except ValidationError:
            return False
        return True

    least, most = bounds["least"], bounds["most"]
    assert takes(_value(least))
    assert takes(_value(most)) is not bool(bounds["below"])
    for outside in (_beyond(least, -1), _beyond(most, 1)):
        assert outside is None or str(outside).startswith("-") or not takes(outside)


def test_bounds_are_found():
    """The test above has something to test."""
    assert len(list(_bounded())) > 30


TEXT = {
    "a number where text belongs": ({"log_level": 3}, "log_level"),
    "a list where a duration belongs": ({"safety_wake": ["1s"]}, "safety_wake"),
    "a home directory": ({"state_dir": "~/byokd"}, "state_dir"),
    "an empty path": ({"state_dir": ""}, "state_dir"),
    "a socket path beyond the kernel's limit": ({"socket": "/" + "s" * 107}, "socket"),
}


@pytest.mark.parametrize(("settings", "name"), TEXT.values(), ids=TEXT)
def test_types_are_strict(settings, name):
    """Nothing is converted into something that was not written."""
    with pytest.raises(ValidationError) as caught:
        schema.DaemonSettings.model_validate(settings)
    assert [each["loc"][0] for each in caught.value.errors()] == [name]


NUMBERS = {"text": "16", "a boolean": True, "a fraction": 1.5}


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_numbers(value):
    """`"16"`, `true` and 1.5 are no counts."""
    with pytest.raises(ValidationError):
        schema.LaneSettings.model_validate(
            {"account": "111122223333", "region": "eu-central-1", "max_in_flight": value}
        )


@pytest.mark.parametrize(
    ("locator", "sound"),
    [
        ("a.key", True),
        ("..data/a.key", True),
        ("a/b.key", True),
        ("../a", False),
        ("a/..", False),
        ("/a", False),
        (".", False),
    ],
)
def test_files_stay_inside_their_directory(locator, sound):
    """A locator names a file inside the source's directory; only a whole `..` climbs out of it."""
    source = schema.FileSource.model_validate({"type": "file", "directory": "/etc/byokd/material"})
    if sound:
        assert source.locator(locator, "x") == locator
    else:
        with pytest.raises(ValueError, match="is not inside"):
            source.locator(locator, "x")


def test_files_without_a_directory_are_named_by_absolute_path():
    """Without a directory there is nothing a relative path could start at, nor a default."""
    source = schema.FileSource(type="file")
    assert source.locator("/run/a.key", "x") == "/run/a.key"
    for written in ("a.key", None):
        with pytest.raises(ValueError, match=r"absolute path|has no directory"):
            source.locator(written, "x")


def test_a_locator_is_never_an_option():
    """A locator that begins with a dash could change what the command does."""
    source = schema.CommandSource.model_validate({"type": "command", "argv": ["/bin/get", "{locator}"]})
    with pytest.raises(ValueError, match="taken for an option"):
        source.locator("--all", "x")
