"""`byokd why KEY`: what byokd knows of a key and since when, which rule decided, and what would change its mind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byokd.cli.invocation import Json, Key, of

if TYPE_CHECKING:
    from rich.text import Text

Document = dict[str, Any]
Line = tuple[str, "Text"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(
    context: typer.Context,
    key: Key,
    json: Json = False,
    at: Annotated[
        str,
        typer.Option(help="What it knew and decided then: 2026-03-01T12:00:00Z, or how long ago, such as 2h."),
    ] = "",
) -> None:
    """Tell what is known of a key, which rule decided, what it waits for, and what would change its mind."""
    from rich.text import Text

    from byokd.cli.listing import show_json, stdout

    document = of(context).reach().why(key, {"at": at} if at else {})
    if json:
        show_json(document)
        return
    console = stdout()
    for name, value in lines(document["why"]):
        console.print(Text.assemble((f"{name:<14}", "bold"), value), soft_wrap=True)


def lines(told: Document) -> Iterator[Line]:
    """The answer, line by line; a name is left out where the line goes on with the one above."""
    from byokd.cli.listing import text
    from byokd.cli.rows import TIER_STYLES

    yield "key", text(told["name"], "bold")
    yield "fleet", text(f"{told['fleet']}, lane {told['lane']}")
    if told["replayed"]:
        yield "as of", text(told["asked_at"])
    if told["unknown"] is not None:
        yield "not known", text(told["unknown"], "bold red")
        return
    yield from _named("knows", [_known(each, told) for each in told["known"]])
    decision = told["decision"]
    yield "decides", text(f"{decision['reason']}: {decision['message']}", TIER_STYLES.get(decision["tier"], ""))
    if decision["goes_first"]:
        yield "", text(f"material {decision['material']} speaks for the key: {decision['goes_first']}")
    for each in told["materials"]:
        yield from _material(each, told)
    if told["looks_again_at"] is not None:
        yield "looks again", text(_when(told["looks_again_at"], told))
    yield from _named("assumed", told["assumed"])


def _material(each: Document, told: Document) -> Iterator[Line]:
    from byokd.cli.listing import text

    if len(told["materials"]) > 1:
        yield f"material {each['material']}", text(each["locator"], "bold")
        yield "  decides", text(f"{each['reason']}: {each['message']}")
    indent = "  " if len(told["materials"]) > 1 else ""
    yield f"{indent}rule", text(f"{each['rule']}: {each['rule_says']}")
    until = f", until {_when(each['until'], told)}" if each["until"] else ""
    yield f"{indent}waits for", text((each["waits_for"] or "nothing that comes by itself") + until)
    yield from _named(f"{indent}changed by", [_way(way, told) for way in each["changed_by"]])
    if each["behind"] is not None:
        yield f"{indent}behind it", text(f"{each['behind']['reason']}: {each['behind']['message']}")


def _named(name: str, values: list[str]) -> Iterator[Line]:
    from byokd.cli.listing import text

    for number, value in enumerate(values):
        yield "" if number else name, text(value)


def _known(each: Document, told: Document) -> str:
    which = f"material {each['material']}: " if each["material"] is not None else ""
    cause = f" ({each['cause']})" if each["cause"] else ""
    if each["at"]:
        return f"{which}{each['value']} {_when(each['at'], told)}{cause}"
    since = f", since {_when(each['since'], told)}" if each["since"] else ""
    return f"{which}{each['value']}{since}{cause}"


def _way(way: Document, told: Document) -> str:
    return way["what"] if way["at"] is None else f"{_when(way['at'], told)}: {way['what']}"


def _when(stamp: str, told: Document) -> str:
    """A time; with how far away it is, where that is from now."""
    from byokd.cli.durations import ago
    from byokd.cli.rows import seconds_until

    return stamp if told["replayed"] else f"{stamp} ({ago(-(seconds_until(stamp, told['asked_at']) or 0))})"
