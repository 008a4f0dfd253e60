"""`byokd import`, `hold`, `release`: orders to the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from byokd.cli.invocation import Json, Key, of

Why = Annotated[str, typer.Option("--why", help="The reason, for the history.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    for command in (hold, release):
        app.command()(command)


def import_(context: typer.Context, key: Key, why: Why = "", json: Json = False) -> None:
    """Import the key's material now, ahead of its time."""
    _give(context, {"kind": "import", "key": key, "why": why}, json)


def hold(
    context: typer.Context,
    key: Key,
    until: Annotated[
        str, typer.Option("--until", help="When the hold ends: 2h, or 2026-03-01T12:00:00Z. Without: when released.")
    ] = "",
    why: Why = "",
    json: Json = False,
) -> None:
    """Leave the key alone, whatever happens to it. Alerts go on, louder."""
    _give(context, {"kind": "hold", "key": key, "why": why, "until": until}, json)


def release(context: typer.Context, key: Key, why: Why = "", json: Json = False) -> None:
    """End a hold."""
    _give(context, {"kind": "release", "key": key, "why": why}, json)


def _give(context: typer.Context, body: dict[str, str], json: bool) -> None:
    from byokd.cli.listing import show_json

    document = of(context).reach().order(body)
    if json:
        show_json(document)
        return
    order = document["order"]
    until = f" until {order['until']}" if order["until"] else ""
    print(f"{order['kind']}{until} ordered for {order['key']}")
