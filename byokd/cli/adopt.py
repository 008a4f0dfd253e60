"""`byokd adopt`: the config for keys that nobody manages; nothing is changed in AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byokd.cli.failures import Exit, Failed
from byokd.cli.find import LaneName, Names, Tags, search, troubles
from byokd.cli.invocation import Json, of

if TYPE_CHECKING:
    from byokd.config.drafts import Draft
    from byokd.decide.adoption import LeftOut
    from byokd.errors import ConfigError

SHOWN = 20
"""Keys that are left out, told to a person; `--json` has more."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adopt)


def adopt(
    context: typer.Context,
    names: Names = None,
    tag: Tags = None,
    lane: LaneName = "",
    fleet: Annotated[str, typer.Option(help="The fleet that they come into, new or not.")] = "adopted",
    source: Annotated[str, typer.Option(help="The fleet's source. Without: as the config says.")] = "",
    material: Annotated[
        str,
        typer.Option(help="Where the source finds each key's material, e.g. '{alias}.key'; {id} is the key id."),
    ] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print a key list in place of TOML.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it: a key list if FILE ends in .csv, else TOML.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the config that would manage the keys that nobody manages, or write it. Changes nothing in AWS."""
    from byokd.cli.listing import show_json
    from byokd.config.drafts import Draft, refuse_existing, write_new
    from byokd.decide.adoption import adopted

    invocation = of(context)
    if write:
        refuse_existing(write)
    config = invocation.config()
    results, failed = search(config, names or (), tag or (), lane)
    taken, left = adopted((key for each in results.values() for key in each.unmanaged), material)
    heading = f"Keys that nobody managed, found by byokd adopt in {', '.join(results)}: {len(taken)}."
    draft = Draft(keys=taken, fleet=fleet, source=source, heading=heading)
    file = write or Path(f"{fleet}.csv" if csv else f"{fleet}.toml")
    text = draft.text_for(file) if taken else ""
    _tell_left_out(left)
    if not taken:
        typer.echo("byokd: no key without a fleet was found: there is nothing to adopt", err=True)
    elif not write and not json:
        typer.echo(text, nl=False)
    if taken:
        _check(draft, invocation.config_path, file)
        if write and failed:
            # A file is never replaced: what the other lanes have could not come into it later.
            why = "not every lane could be searched. Run it again, or for each lane with --lane"
            typer.echo(f"byokd: nothing was written: {why}", err=True)
        elif write:
            write_new(file, text)
            tell_written(draft, file, invocation.config_path)
        elif not json:
            typer.echo("byokd: nothing was written; --write FILE does that", err=True)
    if json:
        written = str(write) if write and taken and not failed else None
        left_out = [{"arn": each.arn, "why": each.why} for each in left]
        document = {"keys": len(taken), "text": text, "written": written, "left_out": left_out}
        show_json(document | {"failed": troubles(config, failed)})
    if failed:
        raise typer.Exit(Exit.REFUSED)


def _check(draft: Draft, main: Path, file: Path) -> None:
    """Hold the draft against the config. Raises: Failed where that would not be valid."""
    from byokd.errors import ConfigError

    try:
        draft.check(main, file)
    except ConfigError as error:
        raise not_valid(error) from error


def not_valid(error: ConfigError) -> Failed:
    """What a person is told of a config that would not be valid with new keys in it."""
    step = "Nothing was written. Change the options of the command, or the config; `--help` tells the options."
    return Failed(f"with these keys the config would not be valid:\n{error}", step=step, code=error.code)


def _tell_left_out(left: list[LeftOut]) -> None:
    for each in left[:SHOWN]:
        typer.echo(f"byokd: left out {each.arn}: {each.why}", err=True)
    if len(left) > SHOWN:
        typer.echo(f"byokd: left out {len(left) - SHOWN} more", err=True)


def tell_written(draft: Draft, file: Path, main: Path) -> None:
    """Say what was written, and what comes next."""
    from byokd.config.drafts import is_list

    typer.echo(f"byokd: wrote {len(draft.keys)} key{'' if len(draft.keys) == 1 else 's'} to {file}", err=True)
    if is_list(file):
        typer.echo(f"Add this to the config, unless it is there:\n\n{draft.fleet_of_list(file)}", err=True)
    elif file.absolute().parent != main.absolute().parent / "conf.d":
        typer.echo("Move it into conf.d beside the config.", err=True)
    typer.echo("Then: byokd config check, and systemctl reload byokd.", err=True)
