"""Garbage is looked for so seldom that it does not stop the loop while imports go on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from byokd.daemon.run import COLLECT_AFTER, collect_seldom
from tests.sim.run import collected_seldom

IN_FLIGHT, OBJECTS_OF_ONE = 1_000, 100
"""Imports of as many lanes at once, and the lists, dicts and tasks that one needs."""


@pytest.fixture
def full_collections() -> Iterator[list[int]]:
    """Grows with each collection that looks through the whole heap; the thresholds are put back."""
    seen: list[int] = []

    def collected(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(1)

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    yield seen
    gc.callbacks.remove(collected)
    gc.set_threshold(*before)


def test_a_thousand_imports_at_once_do_not_have_the_whole_heap_looked_through(full_collections: list[int]) -> None:
    """What they need is alive for a moment, and is not taken for a heap that has grown."""
    gc.collect()
    full_collections.clear()
    collect_seldom()
    for _ in range(5):
        in_flight: list[list[Any]] = [[[] for _ in range(OBJECTS_OF_ONE)] for _ in range(IN_FLIGHT)]
        del in_flight
    assert full_collections == []


def test_garbage_that_refers_to_itself_is_still_found() -> None:
    """Collections are seldom, not off: a cycle is found after some thousand objects more."""
    before = gc.get_threshold()
    collect_seldom()
    found: list[int] = []

    class Cyclic:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            found.append(1)

    try:
        Cyclic()
        kept: list[list[int]] = [[] for _ in range(20_000)]
        assert found
        assert len(kept) == 20_000
    finally:
        gc.set_threshold(*before)


def test_a_simulated_world_collects_as_seldom_as_the_daemon() -> None:
    """Its figure is written there once more, for a world is not to wait until the whole daemon is imported."""
    with collected_seldom():
        assert gc.get_threshold() == COLLECT_AFTER
