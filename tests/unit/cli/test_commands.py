"""Commands against a running daemon's API: what they print, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from byokd.cli.failures import Exit
from byokd.config.schema import LaneSettings
from byokd.decide.transitions import of_order
from byokd.facts.key import KeyArn
from byokd.facts.ledger import OrderKind, OrderState, Tier
from tests.kit import builders
from tests.kit.builders import DAY, desired, lane
from tests.kit.clock import START
from tests.unit.cli.terminal import byokd, transcript
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import CLOCK_SKEW, FRESH, HAS_LAPSED, LAPSED, LEDGER, decide


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        quotas = LaneSettings(account="111122223333", region="eu-central-1").lane("prod").quotas
        served.lanes = (lane(quotas=quotas),)
        yield served


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status", ["status"]),
        ("keys", ["keys"]),
        ("show", ["show", "alias/ledger"]),
        ("why", ["why", "alias/ledger"]),
        ("why_then", ["why", "alias/ledger", "--at", "10d"]),
        ("drift", ["drift"]),
        ("history", ["history", "--limit", "3"]),
        ("queue", ["queue"]),
        ("plan", ["plan"]),
    ],
)
async def test_transcript(api: Api, name: str, arguments: list[str]):
    """Off a terminal a command prints plain lines: no colours, nothing cut, however narrow the terminal was."""
    printed = await byokd(*arguments, socket=api.socket)
    assert (printed.out, printed.err, printed.code) == (transcript(name), "", Exit.OK)


async def test_material_that_is_gone_has_no_time_left(api: Api):
    """Deleted weeks before its ValidTo: that is told as what it was, and of which material."""
    gone = replace(builders.ledger(), lost_at=START - DAY)
    await decide(api.store, FRESH, Tier.LAPSED, "deleted", "imports it again", ledger=gone)
    printed = await byokd("show", FRESH, socket=api.socket)
    assert "\ntime left     gone (its ValidTo was 2026-04-30T12:00:00Z), tier lapsed\n" in printed.out
    told = "material seen gone 1 d ago (2026-02-28T12:00:00Z), its ValidTo was 2026-04-30T12:00:00Z"
    assert f"\nlost          {told}\n" in printed.out
    assert " gone " in (await byokd("keys", "--tier", "lapsed", socket=api.socket)).out


async def test_a_reading_from_before_the_end_is_not_believed_beyond_it(api: Api):
    """KMS showed the material, and its ValidTo has passed since."""
    printed = await byokd("show", LAPSED, socket=api.socket)
    assert "CURRENT, ended 2 h ago (2026-03-01T10:00:00Z)" in printed.out


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["status"], "/v1/status"),
        (["keys"], "/v1/keys"),
        (["show", FRESH], f"/v1/keys/{FRESH.replace('/', '%2F')}"),
        (["why", FRESH], f"/v1/keys/{FRESH.replace('/', '%2F')}/why"),
        (["why", FRESH, "--at", "2h"], f"/v1/keys/{FRESH.replace('/', '%2F')}/why?at=2h"),
        (["drift"], "/v1/drift?limit=100"),
        (["history"], "/v1/history"),
        (["history", FRESH], f"/v1/keys/{FRESH.replace('/', '%2F')}/history"),
        (["queue"], "/v1/queue"),
        (["plan", "--limit", "100"], "/v1/plan"),
    ],
)
async def test_json_is_what_the_api_answers(api: Api, arguments: list[str], path: str):
    """`--json` prints the document of the API and nothing else."""
    printed = await byokd(*arguments, "--json", socket=api.socket)
    async with api.client.get(f"http://byokd{path}") as response:
        assert printed.document == await response.json()


async def test_why_of_a_time_that_is_not_on_record(api: Api):
    """It is said in place of an answer, which is no failure."""
    printed = await byokd("why", FRESH, "--at", "2026-01-01T00:00:00Z", socket=api.socket)
    assert printed.code == Exit.OK
    assert printed.out.splitlines()[-1] == (
        "not known     the history goes back to 2026-01-20 12:00:00Z, and not to then"
    )


async def test_drift_for_monitoring(api: Api):
    """`drift --check` ends with 6 while anything differs; a lane that nobody searches is said and is no difference."""
    quiet = await byokd("drift", "--check", socket=api.socket)
    assert (quiet.code, quiet.out.splitlines()[0]) == (Exit.OK, "Nothing differs.")
    assert "is not searched for keys that nobody manages" in quiet.out
    await api.store.sync_fleet([], now=START)
    told = await byokd("drift", "--check", "--limit", "1", socket=api.socket)
    assert told.code == Exit.ATTENTION
    assert "left_config" in told.out


async def test_keys_over_pages(api: Api):
    """A limit is kept, and that there is more is said on stderr."""
    printed = await byokd("keys", "--limit", "3", socket=api.socket)
    assert len(printed.out.splitlines()) == 1 + 3
    assert "there are more keys" in printed.err


async def test_orders(api: Api):
    """import, hold and release become orders, with reason and end."""
    assert (await byokd("import", "alias/ledger", socket=api.socket)).out == f"import ordered for {LEDGER}\n"
    held = await byokd("hold", FRESH, "--until", "2h", "--why", "audit", socket=api.socket)
    assert held.out == f"hold until 2026-03-01T14:00:00Z ordered for {FRESH}\n"
    released = await byokd("release", FRESH, "--json", socket=api.socket)
    assert released.document["order"]["kind"] == "release"
    assert [order.kind for order in await api.orders(LEDGER)] == [OrderKind.IMPORT]
    assert [order.kind for order in await api.orders(FRESH)] == [OrderKind.HOLD, OrderKind.RELEASE]


async def test_the_kill_switch_asks_for_the_name_again(api: Api):
    """Whoever suspends a fleet types its name twice and sees how many keys that is; anything else orders nothing."""
    refused = await byokd("suspend", "--fleet", "books", socket=api.socket, types="book\n")
    assert refused.code == Exit.REFUSED
    assert "deletes the material of 1 key" in refused.err
    assert await api.orders(LEDGER) == ()
    done = await byokd("suspend", "--fleet", "books", "--reason", "breach", socket=api.socket, types="books\n")
    assert done.out.splitlines()[-2:] == ["suspend ordered for 1 key", f"  {LEDGER}"]
    assert [(order.kind, order.why) for order in await api.orders(LEDGER)] == [(OrderKind.SUSPEND, "breach")]


async def test_orders_are_listed_and_cancelled(api: Api):
    """`orders` shows ids, `cancel` takes one; scripts suspend with --yes and see first with --dry-run."""
    dry = await byokd("import", "--fleet", "books", "--valid-to", "30d", "--dry-run", socket=api.socket)
    assert dry.out.startswith("import would be ordered for 1 key\n")
    assert (await byokd("orders", socket=api.socket)).out == "No order is open.\n"
    await byokd("import", LEDGER, "--valid-to", "30d", socket=api.socket)
    (order,) = await api.orders(LEDGER)
    listed = (await byokd("orders", LEDGER, socket=api.socket)).out
    assert order.id in listed
    assert (await byokd("cancel", order.id, socket=api.socket)).out == f"import cancelled for {LEDGER}\n"
    assert await api.orders(LEDGER) == ()
    assert (await byokd("cancel", order.id, socket=api.socket)).code == Exit.REFUSED
    await byokd("suspend", LEDGER, "--yes", socket=api.socket)
    assert [each.kind for each in await api.orders(LEDGER)] == [OrderKind.SUSPEND]


async def test_an_order_that_loses_material_says_so_wherever_it_is_shown(api: Api):
    """Whoever approves a suspension must see that it deletes what nobody can bring back."""
    words = "suspend with all its material"
    api.approval = (OrderKind.SUSPEND,)
    dry = await byokd("suspend", "--fleet", "books", "--lose-material", "--dry-run", socket=api.socket)
    assert dry.out == f"suspend would be proposed for 1 key\n  {LEDGER}: {words}\n"
    mine = await byokd("suspend", FRESH, "--lose-material", "--yes", socket=api.socket)
    assert mine.out.startswith(f"{words} proposed for {FRESH}\n")
    theirs = builders.order(OrderKind.SUSPEND, ref=LEDGER, state=OrderState.PROPOSED, by="ann", lose=True)
    await api.store.add_orders([(theirs, of_order(theirs))])
    assert f" {words} " in (await byokd("orders", LEDGER, socket=api.socket)).out
    asked = await byokd("approve", "suspend", LEDGER, "--dry-run", socket=api.socket)
    assert asked.out == f"suspend would be approved for 1 key\n  {LEDGER}: {words}\n"
    taken_back = await byokd("cancel", theirs.id, socket=api.socket)
    assert taken_back.out == f"{words} cancelled for {LEDGER}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "alias/none"], Exit.REFUSED, "byokd manages no key named 'alias/none'"),
        (["why", "alias/none"], Exit.REFUSED, "if the config names it by ARN, `byokd find` tells which"),
        (["why", FRESH, "--at", "soon"], Exit.USAGE, "or how long ago, such as 2h"),
        (["why", FRESH, "--at", "2027-01-01T00:00:00Z"], Exit.USAGE, "lies in the future"),
        (["release", FRESH], Exit.REFUSED, "no hold is in force"),
        (["hold", FRESH, "--until", "soon"], Exit.USAGE, "a duration such as 2h"),
        (["keys", "--tier", "soon"], Exit.USAGE, "no tier is called 'soon'"),
        (["keys", "--limit", "0"], Exit.USAGE, "--limit"),
        (["kys"], Exit.USAGE, "kys"),
        (["plan", "--lane", "prd"], Exit.USAGE, "no lane is called 'prd': there are prod"),
        (["plan", "--keys", "5"], Exit.USAGE, "--keys belongs to --what-if"),
        (["plan", "--quota", "9", "--valid-for", "9d"], Exit.USAGE, "--valid-for and --quota belong to --what-if"),
        (["plan", "--what-if", "--keys", "9", "--lane", "prod"], Exit.USAGE, "--lane does not go with --what-if"),
        (["plan", "alias/a", "--what-if", "--keys", "9"], Exit.USAGE, "KEY does not go with --what-if"),
        (["plan", "alias/a", "--lane", "prod"], Exit.USAGE, "name the key or the lane"),
        (["plan", "--what-if"], Exit.USAGE, "--keys is needed: how many keys, from 1 to 1000000"),
        (["plan", "--what-if", "--keys", "0"], Exit.USAGE, "--keys is 0: how many keys, from 1 to 1000000"),
        (["plan", "--what-if", "--keys", "-3"], Exit.USAGE, "--keys is -3"),
        (
            ["plan", "--what-if", "--keys", "9", "--quota", "0"],
            Exit.USAGE,
            "--quota is 0: requests a second, from 0.001",
        ),
        (["plan", "--what-if", "--keys", "9", "--quota", "nan"], Exit.USAGE, "--quota is nan"),
        (["plan", "--what-if", "--keys", "9", "--quota", "1/4"], Exit.USAGE, "--quota is 1/4: requests a second"),
        (["plan", "--what-if", "--keys", "9", "--quota", "Sign=9"], Exit.USAGE, "'Sign', which no import asks for"),
        (["plan", "--what-if", "--keys", "9", "--quota", "=3"], Exit.USAGE, "names '', which no import asks for"),
        (
            ["plan", "--what-if", "--keys", "9", "--quota", "1", "--quota", "GetParametersForImport=2"],
            Exit.USAGE,
            "--quota names GetParametersForImport twice",
        ),
        (["plan", "--what-if", "--keys", "9", "--renew-before", "1d"], Exit.USAGE, "(lower emergency_share, or renew"),
        (["plan", "--what-if", "--keys", "9", "--valid-for", "90"], Exit.USAGE, "durations need a unit"),
        (["plan", "--what-if", "--keys", "9", "--renewal-floor", "60"], Exit.USAGE, 'write for example "60h"'),
        (["plan", "--what-if", "--keys", "9", "--renew-before", "0%"], Exit.USAGE, "renew_before must be more than 0"),
        (["plan", "--what-if", "--keys", "9", "--valid-for", "2y"], Exit.USAGE, "is not a duration"),
        (["plan", "--what-if", "--keys", "9", "--valid-for", "400d"], Exit.USAGE, "from 10s to 365d"),
        (["plan", "--what-if", "--keys", "9", "--valid-for", "never"], Exit.USAGE, "never expires needs no plan"),
        (["plan", "--what-if", "--keys", "9", "--renew-before", "90d"], Exit.USAGE, "must be shorter than valid_for"),
        (
            ["plan", "--what-if", "--keys", "9", "--valid-for", "2h", "--renew-before", "90m"],
            Exit.USAGE,
            "renew_before (1h30m), spread (9m) and renewal_floor (1h) do not fit into valid_for (2h)",
        ),
    ],
)
async def test_failure(api: Api, arguments: list[str], code: int, says: str):
    """A failure is told on stderr with its own exit code, and nothing is on stdout."""
    printed = await byokd(*arguments, socket=api.socket)
    assert (printed.code, printed.out) == (code, "")
    assert says in printed.err


async def test_failure_names_the_next_step(api: Api):
    """Below what failed stands what to do."""
    printed = await byokd("show", "alias/none", socket=api.socket)
    first, second = printed.err.splitlines()
    assert first.startswith("byokd: ")
    assert second.startswith("  → ")


async def test_check(api: Api):
    """`status --check` ends with 6 while a warning or worse is open, and with 0 when none is."""
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.ATTENTION
    await api.store.save_conditions([replace(each, resolved_at=START) for each in (CLOCK_SKEW, HAS_LAPSED)])
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.OK
    api.status["stalled"] = ["lane"]
    assert (await byokd("status", "--check", socket=api.socket)).code == Exit.ATTENTION


async def test_status_says_whose_tier_is_only_the_last_known(api: Api):
    """Six keys that nobody had ever seen stood among "9 fresh", and below them that nothing needs attention."""
    await api.store.save_conditions([replace(each, resolved_at=START) for each in (CLOCK_SKEW, HAS_LAPSED)])
    await api.store.sync_fleet([desired(arn=KeyArn(f"{FRESH[:-1]}{number}")) for number in (1, 8, 9)], now=START)
    await decide(api.store, FRESH, Tier.FRESH, "fresh", "renews later")
    told = (await byokd("status", socket=api.socket)).out
    assert "\nkeys     3 (3 fresh), 2 of them not seen at present: the tier is the last known, if any\n" in told
    assert told.endswith("\nNo condition is open, and what is not seen may need attention.\n")


async def test_a_fleet_that_does_not_exist_yet(tmp_path: Path):
    """A plan of keys to come asks nobody: neither a daemon nor a config is there."""
    asked = ["plan", "--what-if", "--keys", "50", "--valid-for", "30d", "--renew-before", "10d", "--quota", "0.001"]
    printed = await byokd(*asked, "--json", socket=tmp_path / "none.sock")
    assert printed.code == Exit.OK
    (planned,) = printed.document["lanes"]
    assert (planned["keys"], planned["enough"], len(planned["renewals"])) == (50, True, 10)
    assert planned["recovery_s"] == pytest.approx(50 / 0.001 / 0.985, abs=1)
    told = await byokd(*asked, "--at-once")
    assert told.out.startswith("lane      what-if, at ")
    assert told.out.endswith("The pace is enough: every key keeps at least 50% of its lead.\n")


@pytest.mark.parametrize(
    ("said", "bottleneck", "per_second"),
    [
        ([], "GetParametersForImport", 0.25),
        (["--quota", "4"], "GetParametersForImport", 4),
        (["--quota", "15"], "ImportKeyMaterial", 5),
        (["--quota", "15", "--quota", "ImportKeyMaterial=15", "--quota", "DescribeKey=20"], "DescribeKey", 10),
    ],
    ids=["as documented", "more", "more than can be imported", "all that is asked for"],
)
async def test_a_lane_that_does_not_exist_yet(tmp_path: Path, said: list[str], bottleneck: str, per_second: float):
    """What is not said is as the config has it by default; a fleet was called safe at a pace that no lane would have.

    And a lead of a day in a month can be planned, as it can be written in the config.
    """
    asked = ["plan", "--what-if", "--keys", "90", "--valid-for", "30d", "--renew-before", "1d"]
    printed = await byokd(*asked, "--emergency-share", "1%", *said, "--json", socket=tmp_path / "none.sock")
    (planned,) = printed.document["lanes"]
    assert planned["bottleneck"] == bottleneck
    assert planned["per_second"] == pytest.approx(per_second * 0.985)


async def test_control_characters(api: Api):
    """What others wrote cannot drive the terminal."""
    await decide(api.store, FRESH, Tier.FRESH, "fresh", "\x1b[2Jgone")
    printed = await byokd("keys", socket=api.socket)
    assert "\x1b" not in printed.out
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in printed.out
