"""`byokd drift`: what config, AWS as last seen, and byokd's journal say differently of the same keys."""

from __future__ import annotations

from typing import Annotated

import typer

from byokd.cli.failures import Exit
from byokd.cli.invocation import Json, of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    context: typer.Context,
    json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 6 if there is a difference.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many differences of each sort.")] = 100,
) -> None:
    """Show where config, AWS as last seen, and journal differ."""
    from byokd.cli import rows
    from byokd.cli.listing import show, show_json, stdout, text

    document = of(context).reach().drift({"limit": str(limit)})
    if json:
        show_json(document)
    else:
        show(rows.drift(document["drift"], document["at"]), empty="Nothing differs.")
        for each in document["not_compared"]:
            stdout().print(text(f"not compared: {each['subject']}: {each['why']}"), soft_wrap=True)
        if document["differences"] > len(document["drift"]):
            typer.echo(f"byokd: there are {document['differences']} differences; --limit shows more", err=True)
    if check and document["differences"]:
        raise typer.Exit(Exit.ATTENTION)
