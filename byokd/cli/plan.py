"""`byokd plan`: when keys will be renewed, whether the pace is enough, what would help; also for fleets to come."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from byokd.cli.invocation import Json, of

if TYPE_CHECKING:
    from byokd.facts.policy import Lane, Policy

BAR_WIDTH: Final = 24
MOST_KEYS: Final = 1_000_000
PLANNED: Final = 50_000
"""With --what-if, more keys than this are reckoned by so many, at a slower pace: they are alike."""
TO_COME: Final = ("keys", "valid_for", "renew_before", "spread", "renewal_floor", "emergency_share", "quota", "at_once")
"""Options of a fleet that does not exist yet."""
SHOWN: Final = 10
"""Keys listed for a person; `--json` has more."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="List this key alone; its whole lane is planned.")] = "",
    json: Json = False,
    lane: Annotated[str, typer.Option(help="Only this lane: its name, or ACCOUNT/REGION.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many renewals in each list.")] = SHOWN,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Plan a fleet that does not exist yet; asks neither daemon nor config.")
    ] = False,
    keys: Annotated[int | None, typer.Option(help="With --what-if, which needs it: how many keys.")] = None,
    valid_for: Annotated[str, typer.Option(help="With --what-if: the life of each import.")] = "90d",
    renew_before: Annotated[str, typer.Option(help="With --what-if: a duration, or a share of the life.")] = "1/3",
    spread: Annotated[str, typer.Option(help="With --what-if: a duration, or a share of renew_before.")] = "10%",
    renewal_floor: Annotated[str, typer.Option(help="With --what-if: least time between two imports.")] = "1h",
    emergency_share: Annotated[
        str, typer.Option(help="With --what-if: share of the life that is an emergency.")
    ] = "5%",
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OPERATION=]RATE",
            help="With --what-if: requests a second, of GetParametersForImport where none is named. May be repeated.",
        ),
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="With --what-if: all with the same ValidTo, not imported one by one.")
    ] = False,
) -> None:
    """Look ahead: the load of each lane, the keys that would be late, and what would be enough."""
    from byokd.cli.listing import show_json

    _refuse_strays(context, what_if=what_if)
    if what_if:
        policy = _policy(
            valid_for=valid_for,
            renew_before=renew_before,
            spread=spread,
            renewal_floor=renewal_floor,
            emergency_share=emergency_share,
        )
        document = _imagine(keys, policy, _imagined_lane(quota or []), at_once=at_once, limit=limit)
    else:
        asked = {"limit": str(limit)} | ({"lane": lane} if lane else {}) | ({"key": key} if key else {})
        document = of(context).reach().plan(asked)
    if json:
        show_json(document)
        return
    if not document["lanes"]:
        print("No lanes.")
    for number, each in enumerate(document["lanes"]):
        if number:
            print()
        _show(each, document["at"], limit, key)


def _refuse_strays(context: typer.Context, *, what_if: bool) -> None:
    """Options that would have no effect are not overlooked in silence."""
    from byokd.errors import OperatorError

    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
    if what_if and (own := [said for name, said in (("lane", "--lane"), ("key", "KEY")) if name in given]):
        raise OperatorError(f"{own[0]} does not go with --what-if, which plans a lane of its own")
    if "key" in given and "lane" in given:
        raise OperatorError("a key is in one lane: name the key or the lane")
    if not what_if and (strays := [f"--{name.replace('_', '-')}" for name in TO_COME if name in given]):
        raise OperatorError(f"{' and '.join(strays)} {'belong' if strays[1:] else 'belongs'} to --what-if")


def _policy(**written: str) -> Policy:
    """The policy that the options come to. Raises: OperatorError, in the words of the config."""
    from byokd.config.check import sound_policy
    from byokd.config.inherit import whole_policy
    from byokd.errors import OperatorError

    settings, wrong = sound_policy(written)
    if settings is None:
        raise OperatorError("; ".join(f"{setting} {what} ({hint})" for setting, what, hint in wrong))
    policy, complaints = whole_policy((settings,))
    if complaints:
        raise OperatorError("; ".join(f"{each.what} ({each.hint})" for each in complaints))
    if not isinstance(policy.valid_for, timedelta):
        raise OperatorError("material that never expires needs no plan: give --valid-for a duration, up to 365d")
    return policy


def _imagine(keys: int | None, policy: Policy, lane: Lane, *, at_once: bool, limit: int) -> dict[str, Any]:
    from byokd.clock import SystemClock
    from byokd.decide.forecast import lane_bucket
    from byokd.decide.what_if import imagined_keys
    from byokd.errors import OperatorError
    from byokd.web.documents import stamp
    from byokd.web.plan import lane_plan

    if keys is None or not 1 <= keys <= MOST_KEYS:
        raise OperatorError(f"--keys is {'needed' if keys is None else keys}: how many keys, from 1 to {MOST_KEYS}")
    now = SystemClock().now()
    every = max(1.0, keys / PLANNED)
    pace, _ = lane_bucket(lane)
    fleet = imagined_keys(min(keys, PLANNED), policy, now, per_second=pace.per_second / every, at_once=at_once)
    return {"at": stamp(now), "lanes": [lane_plan(fleet, lane, now, limit=limit, every=every)]}


def _imagined_lane(quotas: Iterable[str]) -> Lane:
    """A lane as the config has it by default, but for these quotas. Raises: OperatorError."""
    from dataclasses import replace

    from byokd.config.lanes import LaneSettings, QuotaSettings, QuotasSettings
    from byokd.decide.what_if import NAME
    from byokd.errors import OperatorError
    from byokd.facts.key import LaneId

    own: dict[str, QuotaSettings] = {}
    for operation, rate in map(_quota, quotas):
        if operation in own:
            raise OperatorError(f"--quota names {operation} twice")
        own[operation] = QuotaSettings(per_second=rate)
    settings = LaneSettings(account="0" * 12, region="us-east-1", quotas=QuotasSettings(**own))
    return replace(settings.lane(NAME), id=LaneId(NAME))


def _quota(said: str) -> tuple[str, float]:
    """The operation and the requests a second that one `--quota` names. Raises: OperatorError."""
    from byokd.decide.admit import IMPORT_PARAMETERS
    from byokd.decide.forecast import CALLS_PER_IMPORT
    from byokd.errors import OperatorError
    from byokd.facts.policy import FASTEST_QUOTA, SLOWEST_QUOTA

    named, equals, rate = said.rpartition("=")
    operation = named if equals else IMPORT_PARAMETERS
    if operation not in CALLS_PER_IMPORT:
        raise OperatorError(f"--quota names {operation!r}, which no import asks for: {', '.join(CALLS_PER_IMPORT)}")
    try:
        per_second = float(rate)
    except ValueError:
        per_second = math.nan
    if not SLOWEST_QUOTA <= per_second <= FASTEST_QUOTA:  # also refuses nan
        span = f"requests a second, from {SLOWEST_QUOTA:g} to {FASTEST_QUOTA:g}"
        raise OperatorError(f"--quota is {said}: {span}, such as 0.25 or ImportKeyMaterial=15")
    return operation, per_second


def _show(lane: dict[str, Any], at: str, limit: int, key: str) -> None:
    from byokd.cli import rows
    from byokd.cli.durations import humane
    from byokd.cli.listing import show, stdout

    console = stdout()
    name = lane["name"] if lane["name"] == lane["lane"] else f"{lane['name']} ({lane['lane']})"
    beside = [
        ("left alone", "left_alone"),
        ("never end", "never_expire"),
        ("not seen now", "blind"),
        ("unknown", "unknown"),
    ]
    apart = ", ".join(f"{lane[member]} {said}" for said, member in beside if lane[member])
    pace, demand = lane["per_second"], lane["demand_per_s"]
    for label, said in (
        ("lane", f"{name}, at {at}, as far as {lane['until']}"),
        ("keys", f"{lane['keys']}" + (f" ({apart})" if apart else "")),
        ("pace", f"{pace * 86_400:,.0f} imports a day, set by {lane['bottleneck']}"),
        ("work", f"{demand * 86_400:,.1f} imports a day in the long run: {demand / pace:.1%} of the pace"),
        ("recovery", f"{humane(lane['recovery_s'])} to bring every key back from nothing"),
    ):
        console.print(f"{label:<10}{said}", soft_wrap=True)
    if lane["load"]:
        console.print()
        show(rows.load(lane["load"], bar_width=BAR_WIDTH if console.is_terminal else 0), empty="")
    late = bool(lane["tight"]) and not key
    listed = lane["tight"]["renewals"] if late else lane["renewals"]
    if listed or key:
        console.print()
        console.print(f"late, {lane['tight']['keys']} keys in all:" if late else "next:")
        show(
            rows.renewals(listed[:limit]), empty=f"No renewal of {key} is to come: `byokd why` tells what it waits for."
        )
    if lane["rotations"]:
        console.print()
        console.print("rotations by period:")
        show(rows.rotations(lane["rotations"]), empty="")
    console.print()
    for sentence in lane["says"]:
        console.print(sentence, soft_wrap=True)
