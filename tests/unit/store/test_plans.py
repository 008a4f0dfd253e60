"""Each question that the daemon asks all day is answered from an index, however large the fleet.

The traps this guards against: a partial index is ignored by a query that does not repeat its predicate, and without
statistics the planner may think more of the wrong index. So the plans are read with as many keys as parameters.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Executable, event

from byokd.facts.change import KeyFilter
from byokd.store import SqlStore, agenda, lanes, lists, past, pruning, relatives, snapshots, writes
from tests.kit.builders import LANE_ID
from tests.kit.clock import START
from tests.kit.store_fleet import a_key

REFS = [a_key(number).ref for number in range(50)]
AGENDA = {"lane": LANE_ID, "now": 0, "after": 0, "limit": 9, "channel": "c"}


async def plan(store: SqlStore, statement: Executable, parameters: dict[str, Any]) -> list[str]:
    """The lines of SQLite's query plan for a statement as it is really sent."""
    lines: list[str] = []

    def explain(connection: Connection, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        driver: Any = connection.connection.driver_connection
        lines.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values))

    def work(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", explain)
        try:
            connection.execute(statement, parameters)
        finally:
            event.remove(connection, "before_cursor_execute", explain)

    await store._writer.do(work)
    return lines


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (agenda.DUE, "ix_keys_due"),
        (agenda.NEXT_DUE_AT, "ix_keys_due"),
        (agenda.READY_IMPORTS, "ix_imports_by_rank"),
        (agenda.NEXT_READY_AT, "ix_imports_by_not_before"),
        (agenda.TO_TELL, "ix_conditions_to_tell"),
        (agenda.NEXT_TO_TELL_AT, "ix_conditions_to_tell"),
        (agenda.NEXT_TO_SEND_AT, "ix_notices_by_not_before"),
        (lists.page(KeyFilter(), limit=100, after=""), "ix_keys_by_time_left"),
        (lists.page(KeyFilter(), limit=100, after="5~x"), "ix_keys_by_time_left"),
        (lists.page(KeyFilter(fleet="payments"), limit=100, after=""), "ix_keys_by_time_left"),
        (lists.KEYS_COUNTED, "ix_keys_counted"),
    ],
)
async def test_what_comes_first_is_read_in_the_order_of_an_index(
    store: SqlStore, statement: Executable, index: str
) -> None:
    """No table is scanned and nothing is sorted."""
    (line,) = await plan(store, statement, AGENDA)
    assert index in line
    assert "TEMP B-TREE" not in line


@pytest.mark.parametrize(
    "statement",
    [
        snapshots.KEYS,
        snapshots.IMPORTS,
        snapshots.ORDERS,
        snapshots.CONDITIONS,
        agenda.DEADLINES,
        writes.REMOVED,
        *writes.CLOSE_REMOVED,
        lists.orders_page(ref=REFS[0], only_open=False, limit=9),
        lists.orders_page(ref=REFS[0], only_open=True, limit=9),
    ],
)
async def test_rows_of_given_keys_are_looked_up_one_by_one(store: SqlStore, statement: Executable) -> None:
    """The cost is that of the keys asked for: every table is searched by the key, none from end to end."""
    lines = await plan(store, statement, {"refs": REFS})
    searched = [line for line in lines if line.startswith(("SEARCH", "SCAN"))]
    assert searched
    assert all("(ref=?" in line or "(subject=?" in line or "policies" in line for line in searched)


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (agenda.NOTICES_OF, {"ids": ["1", "2"]}, "(condition_id=?)"),
        (
            writes.TOLD_BEFORE.statement,
            {"of_condition": "1", "of_channel": "c", "new_created_at": 0, "just_before": 0},
            "(condition_id=?)",
        ),
        (agenda.OTHERS_KNOWN_AS, {"arn": "a", "ref": "r"}, "(arn=?)"),
    ],
)
async def test_what_belongs_to_it_is_looked_up(
    store: SqlStore, statement: Executable, parameters: dict[str, Any], index: str
) -> None:
    """The notices of a condition out of a year of notices, the other names of a key out of the whole fleet."""
    lines = await plan(store, statement, parameters)
    (searched,) = (line for line in lines if line.startswith(("SEARCH", "SCAN")))
    assert index in searched


async def test_the_outbox_is_read_in_its_order_and_what_is_older_about_the_same_looked_up(store: SqlStore) -> None:
    """Neither other channels nor the years of notices that were sent cost anything."""
    lines = await plan(store, agenda.OUTBOX, AGENDA)
    searched = [line for line in lines if line.startswith(("SEARCH", "SCAN"))]
    assert "ix_notices_unsent (channel=?)" in searched[0]
    assert "ix_notices_unsent_about (subject=? AND kind=? AND channel=?" in searched[1]
    assert not [line for line in lines if "TEMP B-TREE" in line]


async def test_what_waits_about_the_same_is_looked_up(store: SqlStore) -> None:
    """For each new notice."""
    about = {"of_subject": "x", "of_kind": "lapsed", "of_channel": "c", "new_created_at": 0, "new_id": "x", "at": 0}
    (line,) = await plan(store, writes.HASTEN.statement, about)
    assert "ix_notices_unsent_about (subject=? AND kind=? AND channel=?" in line


async def test_what_was_overtaken_is_looked_up(store: SqlStore) -> None:
    """For each notice that was taken."""
    about = {"of_subject": "x", "of_kind": "lapsed", "of_channel": "c", "by_notice": "x", "at": 0}
    lines = await plan(store, writes.OVERTAKE.statement, about)
    searched = [line for line in lines if line.startswith(("SEARCH", "SCAN"))]
    assert "ix_notices_unsent_about (subject=? AND kind=? AND channel=?" in searched[0]
    assert "(id=?)" in searched[1]


async def test_what_a_channel_was_not_told_of_is_found_among_what_is_open(store: SqlStore) -> None:
    """At each start: conditions that are over cost nothing."""
    lines = await plan(store, writes.TELL_ANEW.statement, {"of_channel": "c", "at_least": 0, "by": 0})
    searched = [line for line in lines if line.startswith(("SEARCH", "SCAN"))]
    assert "ix_conditions_open" in searched[0]
    assert "(condition_id=?)" in searched[1]


async def test_what_is_open_in_a_lane_is_counted_key_by_key(store: SqlStore) -> None:
    """Neither the years of conditions that are over nor other lanes cost anything."""
    lines = await plan(store, agenda.OPEN_IN_LANE, AGENDA | {"kind": "lapsed", "at_least": 0})
    searched = [line for line in lines if line.startswith(("SEARCH", "SCAN"))]
    assert len(searched) == 2
    assert all("(lane=?" in line or "ix_conditions_open" in line for line in searched)


async def test_the_keys_of_a_lane_are_walked_in_the_order_of_an_index(store: SqlStore) -> None:
    """A page of a lane's keys costs that page, however many other lanes there are."""
    lines = await plan(store, lists.PROSPECTS, AGENDA | {"after": "x"})
    assert any("ix_keys_of_lane (lane=? AND ref>?)" in line for line in lines)
    assert not [line for line in lines if line.startswith("SCAN") or "TEMP B-TREE" in line]


async def test_owning_a_lane_reads_what_is_under_way_and_nothing_else(store: SqlStore) -> None:
    """A start wakes the keys whose imports were cut short, each by its name, whoever waits in the queue."""
    lines = await plan(store, lanes.WAKE_RUNNING, {"of_lane": LANE_ID, "wake_at": 0})
    assert any(line.startswith("SEARCH keys") and "(ref=?)" in line for line in lines)
    assert any("ix_imports_running (lane=?)" in line for line in lines)
    assert not [line for line in lines if line.startswith("SCAN")]


async def test_orders_that_are_not_closed_are_listed_without_the_closed_ones(store: SqlStore) -> None:
    """Years of orders stood between the newest that is open and the next."""
    (line,) = await plan(store, lists.orders_page(ref=None, only_open=True, limit=9), {})
    assert "ix_orders_not_closed" in line


async def test_looking_at_a_whole_lane_again_reads_that_lane(store: SqlStore) -> None:
    """After the clock was set back each lane wakes its keys; together they read the fleet once."""
    (line,) = await plan(store, lanes.WAKE_ALL, {"of_lane": LANE_ID, "wake_at": 0})
    assert "SEARCH keys" in line
    assert "(lane=?" in line


@pytest.mark.parametrize("statement", lists.FIND)
async def test_a_name_is_looked_up(store: SqlStore, statement: Executable) -> None:
    """Each meaning of a name has its index."""
    lines = await plan(store, statement, {"names": ["x", "alias/x"]})
    assert not [line for line in lines if line.startswith("SCAN")]


async def test_relatives_are_looked_up_by_the_id_that_they_share(store: SqlStore) -> None:
    """A few keys out of the whole fleet."""
    lines = await plan(store, relatives.RELATIVES, {"key_ids": ["mrk-1", "mrk-2"]})
    assert any("(key_id=?" in line for line in lines)
    assert not [line for line in lines if line.startswith("SCAN")]


@pytest.mark.parametrize("statement", past.CONDITIONS)
async def test_conditions_of_the_past_are_found_by_an_index(store: SqlStore, statement: Executable) -> None:
    """The open ones by their key, the resolved ones by when that was."""
    (line,) = await plan(store, statement, {"ref": "x", "at": 0})
    assert "ix_conditions_open (subject=?)" in line or "ix_conditions_resolved (resolved_at>?)" in line


@pytest.mark.parametrize("statement", pruning.IN_ORDER)
async def test_pruning_begins_at_the_old_end_of_an_index(store: SqlStore, statement: Executable) -> None:
    """A night with nothing to forget costs nothing."""
    lines = await plan(store, statement, {"before": int(START.timestamp()), "limit": 9})
    assert not [line for line in lines if line.startswith("SCAN") and "USING" not in line]
    assert not [line for line in lines if "TEMP B-TREE" in line]
