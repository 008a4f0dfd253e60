"""Giving orders (`byokd import`, `hold`, `release`, `suspend`, `resume`, `rotate`), and seeing to those given.

Whether an order is in force at once or only proposed is the daemon's to say; here it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from byokd.cli.invocation import Json, of

OneKey = Annotated[str, typer.Argument(metavar="[KEY]", help="ARN, key id or alias.", show_default=False)]
Fleet = Annotated[str, typer.Option("--fleet", help="Every key of this fleet.", show_default=False)]
Lane = Annotated[
    str, typer.Option("--lane", help="Every key of this lane: its name, or ACCOUNT/REGION.", show_default=False)
]
Why = Annotated[str, typer.Option("--why", "--reason", help="The reason, for the history.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be ordered, and order nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command()(hold)
    _plain(app, "release", "End a hold.")
    app.command()(suspend)
    _plain(app, "resume", "Bring the material of suspended keys back.")
    _plain(app, "rotate", "Import the next material of keys, and make it the current one. The old ones are kept alive.")
    app.command()(orders)
    app.command()(approve)
    app.command()(cancel)


def _plain(app: typer.Typer, kind: str, told: str) -> None:
    """Add the command for an order that says no more than which keys are meant, and why."""

    @app.command(kind, help=told)
    def command(
        context: typer.Context,
        key: OneKey = "",
        fleet: Fleet = "",
        lane: Lane = "",
        why: Why = "",
        dry_run: DryRun = False,
        json: Json = False,
    ) -> None:
        body = {"kind": kind, "key": key, "fleet": fleet, "lane": lane, "why": why}
        _Asked(context, body, json, dry_run).give()


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order for a key, a fleet or a lane, before it is given."""

    context: typer.Context
    body: dict[str, Any]
    json: bool
    dry_run: bool

    @property
    def name(self) -> str:
        """What is typed to name the keys meant."""
        return str(self.body["key"] or self.body["fleet"] or self.body["lane"])

    def give(self) -> None:
        """Order it, or say what would be ordered; then tell what came of it."""
        document = self.send(dry_run=self.dry_run)
        if self.json:
            from byokd.cli.listing import show_json

            show_json(document)
        elif "order" in document:
            from byokd.cli.rows import asked

            order = document["order"]
            until = f" until {order['until']}" if order["until"] else ""
            print(f"{asked(order)}{until} {_verb([order])} for {order['key']}")
            self._tell_how([order])
        else:
            _tell(self.body["kind"], document, _verb(document["orders"]))
            self._tell_how(document["orders"])

    def _tell_how(self, orders: list[dict[str, Any]]) -> None:
        """How an order gets into force that is only proposed."""
        if _verb(orders) == "proposed" and not self.dry_run:
            option = "--fleet " if self.body["fleet"] else "--lane " if self.body["lane"] else ""
            print(f"Another person must approve it: byokd approve {self.body['kind']} {option}{self.name}")

    def send(self, *, dry_run: bool) -> dict[str, Any]:
        """The daemon's answer."""
        return of(self.context).reach().order(self.body | {"dry_run": dry_run})


def import_(
    context: typer.Context,
    key: OneKey = "",
    fleet: Fleet = "",
    lane: Lane = "",
    valid_to: Annotated[
        str,
        typer.Option(
            "--valid-to",
            help="End of life, also earlier: 30d, 2026-12-01T00:00:00Z, never. Without: by policy.",
        ),
    ] = "",
    why: Why = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Import material now, ahead of its time."""
    body = {"kind": "import", "key": key, "fleet": fleet, "lane": lane, "why": why, "valid_to": valid_to}
    _Asked(context, body, json, dry_run).give()


def hold(
    context: typer.Context,
    key: OneKey = "",
    fleet: Fleet = "",
    lane: Lane = "",
    until: Annotated[
        str, typer.Option("--until", help="When the hold ends: 2h, or 2026-03-01T12:00:00Z. Without: when released.")
    ] = "",
    why: Why = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Leave keys alone, whatever happens to them. Alerts go on, louder."""
    body = {"kind": "hold", "key": key, "fleet": fleet, "lane": lane, "why": why, "until": until}
    _Asked(context, body, json, dry_run).give()


def suspend(
    context: typer.Context,
    key: OneKey = "",
    fleet: Fleet = "",
    lane: Lane = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name again: for scripts.")] = False,
    lose_material: Annotated[
        bool, typer.Option("--lose-material", help="Delete also what byokd could not bring back: it is lost for good.")
    ] = False,
    why: Why = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Delete the material of keys, at once: nothing under them can be decrypted until they are resumed."""
    body = {"kind": "suspend", "key": key, "fleet": fleet, "lane": lane, "why": why, "lose_material": lose_material}
    asked = _Asked(context, body, json, dry_run)
    if not (yes or dry_run):
        count = asked.send(dry_run=True)["ordered"]
        many = count != 1
        typer.echo(
            f"This deletes the material of {count} key{'s' if many else ''}. Nothing encrypted under "
            f"{'them can be read until they are' if many else 'it can be read until it is'} resumed"
            f"{', or ever, where byokd could not bring the material back' if lose_material else ''}.",
            err=True,
        )
        if typer.prompt(f"Type {asked.name!r} to go on", default="", show_default=False, err=True) != asked.name:
            typer.echo("Not the same: nothing was ordered.", err=True)
            raise typer.Exit(1)
    asked.give()


def orders(
    context: typer.Context,
    key: OneKey = "",
    json: Json = False,
    closed: Annotated[bool, typer.Option("--all", help="Closed orders too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many rows.")] = 100,
) -> None:
    """List orders that are in force or not carried out yet, newest first."""
    from byokd.cli import rows
    from byokd.cli.listing import show, show_json

    query = {"limit": str(limit), "all": "true" if closed else "false"} | ({"key": key} if key else {})
    document = of(context).reach().orders(query)
    if json:
        show_json(document)
    else:
        show(rows.orders(document["orders"], document["at"]), empty="No order is open.")


def approve(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What was proposed: suspend, rotate, ...")],
    key: OneKey = "",
    fleet: Fleet = "",
    lane: Lane = "",
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Approve orders that another person has proposed, where the config wants two."""
    from byokd.cli.listing import show_json

    body = {"kind": kind, "key": key, "fleet": fleet, "lane": lane, "dry_run": dry_run}
    document = of(context).reach().approve(body)
    if json:
        show_json(document)
    else:
        _tell(kind, document, "approved")


def cancel(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The order's id: see `byokd orders`.")],
    json: Json = False,
) -> None:
    """Take back an order that has not begun."""
    from byokd.cli.listing import show_json
    from byokd.cli.rows import asked

    document = of(context).reach().cancel_order(order)
    if json:
        show_json(document)
        return
    print(f"{asked(document['order'])} cancelled for {document['order']['key']}")


def _verb(orders: list[dict[str, Any]]) -> str:
    """What has become of orders just given."""
    return "proposed" if any(order["state"] == "proposed" for order in orders) else "ordered"


def _tell(kind: str, document: dict[str, Any], verb: str) -> None:
    """What an order for many keys came to, or would; each that asks for more than its kind says so itself."""
    from byokd.cli.rows import asked

    verb = f"would be {verb}" if document["dry_run"] else verb
    print(f"{kind} {verb} for {document['ordered']} key{'' if document['ordered'] == 1 else 's'}")
    for order in document["orders"]:
        more = "" if asked(order) == kind else f": {asked(order)}"
        print(f"  {order['key']}{more}")
    if document["ordered"] > len(document["orders"]):
        print(f"  and {document['ordered'] - len(document['orders'])} more")
    for refusal in document["refusals"]:
        print(f"not for {refusal['key']}: {refusal['why']}")
    if document["refused"] > len(document["refusals"]):
        print(f"and not for {document['refused'] - len(document['refusals'])} more")
