"""`byokd status`: how the fleet is, in figures; with `--check`, as an exit code for monitoring."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from byokd.cli.failures import Exit
from byokd.cli.invocation import Json, of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    json: Json = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit 6 if a warning or worse is open, 4 if the daemon does not answer."),
    ] = False,
) -> None:
    """Show how the fleet is, in figures, and what needs attention."""
    from byokd.cli.listing import show_json

    reach = of(context).reach()
    document = reach.status()
    if json:
        show_json(document)
    else:
        _show(document)
    if check and not reach.daemon_answers:
        raise typer.Exit(Exit.UNREACHABLE)
    if check and needs_attention(document):
        raise typer.Exit(Exit.ATTENTION)


def needs_attention(document: dict[str, Any]) -> bool:
    """Whether a condition is open that is more than information, or a loop of the daemon stands still."""
    conditions = document["counts"]["conditions"]
    if document["daemon"] is not None and document["daemon"].get("stalled"):
        return True
    return any(count for severity, count in conditions.items() if severity != "info")


def _show(document: dict[str, Any]) -> None:
    from byokd.cli import rows
    from byokd.cli.listing import show, stdout

    counts = document["counts"]
    console = stdout()
    console.print(f"at       {document['at']}", soft_wrap=True)
    console.print(f"daemon   {_daemon(document['daemon'])}", soft_wrap=True)
    unseen = rows.unseen(counts["by_state"])
    caveat = f", {unseen} of them not seen at present: the tier is the last known, if any" if unseen else ""
    console.print(f"keys     {counts['keys']}{_figures(counts['by_tier'])}{caveat}", soft_wrap=True)
    console.print(f"in KMS   {_figures(counts['by_state']).strip(' ()') or 'nothing seen yet'}", soft_wrap=True)
    console.print(f"queue    {_figures(counts['queue']).strip(' ()') or 'empty'}", soft_wrap=True)
    console.print(f"notices  {counts['notices_waiting'] or 'none'} waiting", soft_wrap=True)
    console.print()
    empty = "No condition is open, and what is not seen may need attention." if unseen else "Nothing needs attention."
    show(rows.conditions(document["conditions"], document["at"]), empty=empty)


def _figures(counts: dict[str, int]) -> str:
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f" ({said})" if said else ""


def _daemon(daemon: dict[str, Any] | None) -> str:
    if daemon is None:
        return "does not answer"
    said = ["answers"]
    said += [f"{name} {_said(value)}" for name, value in daemon.items() if value not in ([], {}, "")]
    return ", ".join(said)


def _said(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(str(each) for each in value)
        case _:
            return str(value)
