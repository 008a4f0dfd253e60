"""Time left, bars and durations."""

from __future__ import annotations

from typing import Any

import pytest

from byokd.cli.durations import ago, humane
from byokd.cli.rows import bar, share_left, time_left

AT = "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3599 + 3600, "1 h 59 min"),
        (86_400 + 3_599, "1 d"),
        (3 * 86_400 + 4 * 3_600, "3 d 4 h"),
        (10 * 86_400 - 1, "9 d 23 h"),
        (10 * 86_400 + 3_600, "10 d"),
    ],
)
def test_humane(seconds: int, said: str):
    """A duration has its two largest units, and never more than is true."""
    assert humane(seconds) == said


def test_ago():
    """The past is ago, the future is in."""
    assert (ago(60), ago(0), ago(-60)) == ("1 min ago", "0 s ago", "in 1 min")


def _key(expires_at: Any, imported_at: Any = None, tier: str = "fresh") -> dict[str, Any]:
    return {"expires_at": expires_at, "imported_at": imported_at, "tier": tier}


@pytest.mark.parametrize(
    ("key", "left", "share"),
    [
        (_key("2026-03-01T13:00:00Z", "2026-03-01T11:00:00Z"), "1 h", 0.5),
        (_key("2026-03-01T12:00:00Z", "2026-03-01T11:00:00Z"), "ended 0 s ago", 0.0),
        (_key("2026-03-01T11:00:00Z", "2026-03-01T10:00:00Z"), "ended 1 h ago", 0.0),
        (_key("2026-03-01T13:00:00Z"), "1 h", 1.0),
        (_key("2026-03-01T13:00:00Z", "2026-03-01T12:30:00Z"), "1 h", 1.0),
        (_key("never"), "never ends", 1.0),
        (_key(None), "-", 0.0),
        (_key("2026-03-01T13:00:00Z", "2026-03-01T11:00:00Z", "lapsed"), "gone", 0.0),
        (_key("never", "2026-03-01T11:00:00Z", "suspended"), "gone", 0.0),
        (_key("2026-03-01T11:00:00Z", "2026-03-01T10:00:00Z", "suspended"), "gone", 0.0),
        (_key("2026-03-01T11:00:00Z", "2026-03-01T10:00:00Z", "lapsed"), "ended 1 h ago", 0.0),
    ],
    ids=[
        "half",
        "at the end",
        "past",
        "import unknown",
        "clock behind",
        "never",
        "no material",
        "deleted",
        "suspended",
        "suspended before its end",
        "lapsed",
    ],
)
def test_time_left(key: dict[str, Any], left: str, share: float):
    """Time left, in words and as a share of life."""
    assert (time_left(key, AT), share_left(key, AT)) == (left, share)


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, "····"), (0.5, "██··"), (0.3, "█▎··"), (1.0, "████"), (0.999, "████")]
)
def test_bar(share: float, drawn: str):
    """A bar is as long as the share, an eighth of a cell fine, and always as wide as its room."""
    assert bar(share, 4, "green").plain == drawn
