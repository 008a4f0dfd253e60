"""`byokd queue`: the import queue."""

from __future__ import annotations

from typing import Annotated

import typer

from byokd.cli.invocation import Json, of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(queue)


def queue(
    context: typer.Context,
    json: Json = False,
    closed: Annotated[bool, typer.Option("--all", help="Closed rows too, newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many rows.")] = 100,
) -> None:
    """List imports that are wanted, in the order in which they will be served."""
    from byokd.cli import rows
    from byokd.cli.listing import show, show_json

    document = of(context).reach().queue({"limit": str(limit), "all": "true" if closed else "false"})
    if json:
        show_json(document)
    else:
        show(rows.imports(document["imports"], document["at"]), empty="The queue is empty.")
