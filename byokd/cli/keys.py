"""`byokd keys`, `show KEY`, `history KEY`: what is known about keys."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from byokd.cli.invocation import Json, Key, of

BAR_WIDTH: Final = 12
_MOST: Final = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (keys, show, history):
        app.command()(command)


def keys(
    context: typer.Context,
    json: Json = False,
    fleet: Annotated[str, typer.Option(help="Only this fleet.")] = "",
    lane: Annotated[str, typer.Option(help="Only this lane: its name, or ACCOUNT/REGION.")] = "",
    tier: Annotated[str, typer.Option(help="Only keys in this tier: fresh, due, urgent, emergency, lapsed.")] = "",
    text: Annotated[str, typer.Option(help="Only keys with this in their name or ARN.")] = "",
    condition: Annotated[str, typer.Option(help="Only keys with this condition, such as access_denied.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="At most so many keys.")] = 1000,
) -> None:
    """List keys by time left, least first."""
    from byokd.cli import rows
    from byokd.cli.listing import show as show_listing
    from byokd.cli.listing import show_json, stdout

    asked = {"fleet": fleet, "lane": lane, "tier": tier, "text": text, "condition": condition}
    document = of(context).reach().keys({name: value for name, value in asked.items() if value}, limit=limit)
    if json:
        show_json(document)
        return
    bar_width = BAR_WIDTH if stdout().is_terminal else 0
    show_listing(rows.keys(document["keys"], document["at"], bar_width=bar_width), empty="No keys.")
    if document["next"] is not None:
        typer.echo(f"byokd: there are more keys; --limit shows more than {limit}", err=True)


def show(context: typer.Context, key: Key, json: Json = False) -> None:
    """Show all about one key."""
    from byokd.cli.listing import show_json
    from byokd.cli.sheet import print_sheet

    document = of(context).reach().key(key)
    if json:
        show_json(document)
    else:
        print_sheet(document["key"], document["at"])


def history(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="ARN, key id or alias; all keys without.")] = "",
    json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many lines.")] = 100,
) -> None:
    """Tell the life of a key, newest first."""
    from byokd.cli import rows
    from byokd.cli.listing import show as show_listing
    from byokd.cli.listing import show_json

    document = of(context).reach().history(key, {"limit": str(limit)})
    if json:
        show_json(document)
    else:
        show_listing(rows.history(document["history"]), empty="No history.")
