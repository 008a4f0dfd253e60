"""`byokd replicate`: the replicas that the config wants, in the Regions where they are not yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byokd.cli.failures import Exit, Failed
from byokd.cli.invocation import Json, of
from byokd.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byokd.config.load import Config
    from byokd.daemon.replication import Family, Replica
    from byokd.facts.key import Absent


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replicate)


def replicate(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Primaries, as the config names them. Without: all.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The key policy of new replicas, JSON. Without: that of the primary."),
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Copy neither policy, description nor tags of the primary: KMS's defaults.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")] = False,
    json: Json = False,
) -> None:
    """Make the replicas of multi-Region keys that the config wants and KMS does not have; run again, it goes on."""
    from byokd.cli.listing import show_json

    config = of(context).config()
    families = _families(config, names or ())
    replicas = _run(config, families, _policy(policy), bare=bare, dry_run=dry_run)
    if json:
        show_json({"replicas": [_document(each) for each in replicas]})
    else:
        _tell(replicas)
    if any(each.why for each in replicas):
        raise typer.Exit(Exit.REFUSED)


def _families(config: Config, names: Sequence[str]) -> list[Family]:
    found: dict[str, Family] = {}
    for primary, replica in config.replicas():
        known = found.get(primary.ref, (primary, ()))
        found[primary.ref] = primary, (*known[1], replica)
    if not names:
        return list(found.values())
    called = {each: family for family in found.values() for each in (family[0].ref, family[0].name)}
    for name in names:
        if name not in called:
            some = ", ".join(family[0].name for family in list(found.values())[:5]) or "none"
            raise Failed(f"the config wants no replicas of {name}", step=f"with replicas: {some}", code="operator")
    return [called[name] for name in dict.fromkeys(names)]


def _policy(file: Path | None) -> str | Absent:
    from byokd.config.manifest import policy_in
    from byokd.config.problems import Unfit
    from byokd.facts.key import ABSENT

    if file is None:
        return ABSENT
    try:
        return policy_in(file)
    except Unfit as unfit:
        raise Failed(f"--policy: {unfit.what}", step=unfit.hint, code="operator") from unfit


def _run(
    config: Config, families: Sequence[Family], policy: str | Absent, *, bare: bool, dry_run: bool
) -> list[Replica]:
    import asyncio

    from byokd import logs
    from byokd.daemon.replication import replicate as make_replicas

    logs.configure(level="warning", stream=sys.stderr)
    with progress() as say:

        def done(count: int) -> None:
            say(f"{count} replicas seen to")

        return asyncio.run(make_replicas(config, families, policy=policy, bare=bare, dry_run=dry_run, done=done))


def _tell(replicas: Sequence[Replica]) -> None:
    counts: dict[str, int] = {}
    for each in replicas:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
        where = f"{each.primary.name} in {each.wanted.lane}"
        if each.why:
            typer.echo(f"byokd: not made: {where}: {each.why}", err=True)
        elif each.outcome != "there":
            typer.echo(f"{each.outcome}: {where}: {each.arn}")
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    many = "1 replica is" if len(replicas) == 1 else f"{len(replicas)} replicas are"
    typer.echo(f"{many} wanted: {told or 'none'}")
    if counts.get("failed"):
        typer.echo("byokd: run it again to go on", err=True)


def _document(replica: Replica) -> dict[str, Any]:
    return {
        "primary": replica.primary.ref,
        "lane": replica.wanted.lane,
        "outcome": replica.outcome.value,
        "arn": replica.arn if isinstance(replica.arn, str) else None,
        "why": replica.why or None,
    }
