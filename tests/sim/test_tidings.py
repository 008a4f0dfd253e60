"""When a host's clock counts as too far off, and when as right."""

from __future__ import annotations

import pytest

from tests.sim.tidings import _spans


@pytest.mark.parametrize(
    ("readings", "spans"),
    [
        pytest.param([(0, 0, 0)], [(0, 1000, False)], id="never set"),
        pytest.param([(0, 0, 0), (100, -60, 0)], [(0, 100, False), (100, 1000, True)], id="set back"),
        pytest.param([(0, 30, 0)], [], id="so near the threshold that nobody can say"),
        pytest.param([(0, 0, 0.066)], [(500, 1000, True)], id="gains, and is too far ahead in the end"),
        pytest.param([(0, 3, -0.072)], [(500, 1000, True)], id="loses, and is too far behind in the end"),
        pytest.param([(0, 60, -0.12)], [], id="off first one way, then the other"),
    ],
)
def test_a_clock_is_judged_while_all_of_it_is_certain(
    readings: list[tuple[float, float, float]], spans: list[tuple[float, float, bool]]
) -> None:
    """A law that took a clock for off before it was would blame byokd for saying nothing."""
    assert [(round(a), b, wrong) for a, b, wrong, _ in _spans(readings, 1000)] == spans
