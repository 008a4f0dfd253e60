"""`byokd run`: the daemon in the foreground, for systemd and for people."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from byokd.cli.invocation import Invocation, of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    context: typer.Context,
    view: Annotated[
        bool | None,
        typer.Option(
            "--view/--no-view",
            help="Show the fleet on the terminal in place of log lines. Default: on a terminal, with a local KMS.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    import asyncio

    from byokd.daemon import run as run_daemon

    invocation = of(context)
    beside = None
    if _wants_view(invocation) if view is None else view:
        from rich.console import Console

        from byokd.cli.view import watch

        beside = partial(watch, console=Console(markup=False, highlight=False, emoji=False))
    raise typer.Exit(asyncio.run(run_daemon(invocation.config_path, beside=beside)))


def _wants_view(invocation: Invocation) -> bool:
    """A person tries byokd out. In production, a terminal gets log lines like everything else."""
    return sys.stdout.isatty() and invocation.settings().local_kms is not None
