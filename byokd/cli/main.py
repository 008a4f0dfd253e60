"""`byokd`: the global options, the command groups, the exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from byokd import __version__
from byokd.cli import (
    adopt,
    config,
    create,
    drift,
    find,
    keys,
    localkms,
    orders,
    plan,
    queue,
    replicate,
    run,
    status,
    why,
)
from byokd.cli.failures import MEANINGS, Commands
from byokd.cli.invocation import DEFAULT_CONFIG, Invocation

_EXIT_CODES = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."

app = typer.Typer(
    name="byokd",
    cls=Commands,
    help="Keeps AWS KMS keys with imported key material alive.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # it would show the values of local variables
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"byokd {__version__}")
        raise typer.Exit


@app.callback()
def byokd(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", envvar="BYOKD_CONFIG", help="The main configuration file.")
    ] = DEFAULT_CONFIG,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            metavar="FILE",
            envvar="BYOKD_SOCKET",
            help="The daemon's socket, in place of the config's: works while the config file is broken.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps AWS KMS keys with imported key material alive."""
    context.obj = Invocation(config_path=config, socket=socket)


for group in (run, status, keys, why, drift, queue, plan, orders, find, adopt, create, replicate):
    group.register(app)
app.add_typer(config.app, name="config")
app.add_typer(localkms.app, name="localkms")


def main() -> None:
    """The console script. Exits with one of `failures.Exit`."""
    app()
