"""`byokd create`: new keys in bulk from a manifest, and the config for them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byokd.cli.adopt import not_valid, tell_written
from byokd.cli.failures import Exit, Failed
from byokd.cli.invocation import Json, of
from byokd.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byokd.config.drafts import Draft
    from byokd.config.load import Config
    from byokd.config.manifest import ManifestRow
    from byokd.daemon.creation import Fits, Order, Outcome
    from byokd.facts.key import KeyArn
    from byokd.facts.policy import DesiredKey


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(create)


def create(
    context: typer.Context,
    manifest: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV, or TOML if *.toml, one row for each key: see the how-to.")
    ],
    write: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where the config of the new keys goes: a key list if *.csv, else TOML."),
    ],
    lane: Annotated[str, typer.Option(help="Where to make them: a lane's name, or ACCOUNT/REGION.")] = "",
    fleet: Annotated[str, typer.Option(help="The fleet that they come into, new or not.")] = "created",
    source: Annotated[str, typer.Option(help="The fleet's source. Without: as the config says.")] = "",
    material: Annotated[
        str, typer.Option(help="Where the source finds the material of rows that do not say it themselves.")
    ] = "{alias}.key",
    only_valid: Annotated[
        bool, typer.Option("--only-valid", help="Leave wrong rows out. Without: one wrong row, and nothing is made.")
    ] = False,
    unseen_material: Annotated[
        bool,
        typer.Option(
            "--unseen-material", help="Make keys whose material is not there yet, or not to be read from here."
        ),
    ] = False,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is noted how far each key is. [MANIFEST.journal]")
    ] = None,
    settle_for: Annotated[
        str, typer.Option("--settle-for", help="How long a key that KMS made may stay invisible.")
    ] = "2m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all rows, and make nothing.")] = False,
    json: Json = False,
) -> None:
    """Make keys with Origin EXTERNAL from a manifest, once each: run it again after whatever broke it off."""
    from byokd.cli.listing import show_json
    from byokd.config.drafts import draft_of_new, refuse_existing, write_new

    invocation = of(context)
    config = invocation.config()
    refuse_existing(write)
    order = _order(config, manifest, journal, lane, settle_for)
    order = replace(order, only_valid=only_valid, unseen_material=unseen_material, dry_run=dry_run)

    def draft(rows: Sequence[ManifestRow], arns: Mapping[str, KeyArn]) -> Draft:
        keys = [row.key for row in rows]
        return draft_of_new(keys, arns, order.lane, fleet=fleet, source=source, material=material)

    def fits(rows: Sequence[ManifestRow]) -> Sequence[DesiredKey]:
        sketch = draft(rows, {})
        wanted = {key.arn for key in sketch.keys}
        # The config may have a million others.
        listed = sketch.check(invocation.config_path, write).keys()
        known = {key.arn: key for key in listed if key.arn in wanted}
        return [known[key.arn] for key in sketch.keys]

    outcome = _run(config, order, fits)
    complete = not dry_run and not outcome.created.failed
    whole = draft(outcome.rows, outcome.created.arns)
    if complete:
        write_new(write, whole.text_for(write))
    if json:
        show_json(_document(outcome, write if complete else None))
    else:
        _tell(outcome, order)
        if complete:
            tell_written(whole, write, invocation.config_path)
            if wanted := sum(len(row.key.replicas) for row in outcome.rows):
                typer.echo(f"Then, with their material in: byokd replicate, for {_count(wanted, 'replica')}.")
    if outcome.created.failed:
        raise typer.Exit(Exit.REFUSED)


def _order(config: Config, manifest: Path, journal: Path | None, lane: str, settle_for: str) -> Order:
    from byokd.config.problems import Unfit
    from byokd.config.quantities import parse_duration
    from byokd.daemon.creation import Order

    chosen = [each for each in config.lanes.values() if lane in ("", each.name, each.id)]
    if len(chosen) != 1:
        known = ", ".join(config.lanes)
        raise Failed("name one lane to make the keys in", step=f"--lane NAME; known here: {known}", code="operator")
    try:
        settles = parse_duration(settle_for)
    except Unfit as unfit:
        raise Failed(f"--settle-for: {unfit.what}", step=unfit.hint, code="operator") from unfit
    return Order(
        manifest=manifest,
        journal=journal or manifest.with_name(f"{manifest.name}.journal"),
        lane=chosen[0],
        settle_for=settles,
    )


def _run(config: Config, order: Order, fits: Fits) -> Outcome:
    import asyncio

    from byokd import logs
    from byokd.daemon.creation import create as create_keys
    from byokd.errors import ConfigError

    logs.configure(level="warning", stream=sys.stderr)
    with progress() as say:

        def named(count: int) -> None:
            say(f"{order.lane.name}: {count} keys made")

        try:
            return asyncio.run(create_keys(config, order, fits=fits, named=named))
        except ConfigError as error:
            raise not_valid(error) from error


def _tell(outcome: Outcome, order: Order) -> None:
    for problem in outcome.wrong:
        typer.echo(f"byokd: left out: {problem}", err=True)
    for alias, why in outcome.created.failed.items():
        typer.echo(f"byokd: not made: {alias}: {why}", err=True)
    for arn in outcome.created.surplus:
        typer.echo(f"byokd: made twice, and not used: {arn}", err=True)
    made, rows = len(outcome.created.arns), len(outcome.rows)
    if order.dry_run:
        seconds = rows / order.lane.quotas["CreateKey"].per_second
        typer.echo(
            f"{_count(rows, 'key')} would be made in {order.lane.name}, in {seconds:.0f} s at its quota of CreateKey"
        )
    else:
        typer.echo(f"{made} of {rows} keys are made in {order.lane.name}")
    if outcome.created.failed:
        typer.echo("byokd: run it again to go on; the config is written when all are made", err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _document(outcome: Outcome, written: Path | None) -> dict[str, Any]:
    created = outcome.created
    return {
        "rows": len(outcome.rows),
        "made": created.arns,
        "failed": created.failed,
        "surplus": created.surplus,
        "wrong": [str(problem) for problem in outcome.wrong],
        "written": None if written is None else str(written),
    }
