"""`byokd find`: the keys with imported material that there are in AWS, and which of them nobody manages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from byokd.cli.failures import Exit, Failed, tell
from byokd.cli.invocation import Json, of
from byokd.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byokd.cli.listing import Listing
    from byokd.config.load import Config
    from byokd.errors import ByokdError
    from byokd.facts.estate import Found

Document = dict[str, Any]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="ARNs, key ids, aliases, patterns of aliases: 'alias/pay-*'."),
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME[=VALUE]", help="Only keys with this tag. May be repeated.")
]
LaneName = Annotated[str, typer.Option("--lane", help="Only this lane: its name, or ACCOUNT/REGION.")]

TOLD_EVERY: Final = 100
"""Keys looked at between two words about it."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(find)


def find(
    context: typer.Context,
    names: Names = None,
    tag: Tags = None,
    lane: LaneName = "",
    unmanaged: Annotated[
        bool, typer.Option("--unmanaged", help="Only keys that no fleet of the config names.")
    ] = False,
    tags: Annotated[bool, typer.Option("--tags", help="Show the tags of each key: one more call for each.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Json = False,
) -> None:
    """List the keys with imported material in AWS, nearest deadline first, whether the config names them or not."""
    from byokd.cli.listing import show, show_json, stdout
    from byokd.web.estate import found as document_of

    config = of(context).config()
    results, failed = search(config, names or (), tag or (), lane, tags=tags)
    documents = [document_of(config.lanes[name], result, only_unmanaged=unmanaged) for name, result in results.items()]
    if json:
        show_json({"lanes": documents, "failed": troubles(config, failed)})
    elif csv:
        _print_csv(documents)
    else:
        show(_listing(documents, tags=tags or bool(tag)), empty="No keys.")
        for each in documents:
            for missing in each["missing"]:
                stdout().print(f"in the config, not in {each['name']}: {missing}", soft_wrap=True)
    if failed:
        raise typer.Exit(Exit.REFUSED)


def troubles(config: Config, failed: Mapping[str, ByokdError]) -> list[Document]:
    """Why lanes could not be searched, as a document."""
    from byokd.web.documents import error

    return [{"lane": config.lanes[name].id, "name": name, **error(each)} for name, each in failed.items()]


class Searched(NamedTuple):
    """What a search of lanes came to, by the name of the lane."""

    found: Mapping[str, Found]
    failed: Mapping[str, ByokdError]


def search(config: Config, names: Sequence[str], tag: Sequence[str], lane: str, *, tags: bool = False) -> Searched:
    """What there is in the lanes that are meant; those that cannot be searched are told, with their endpoints.

    Raises: ByokdError; Failed for a lane that is not in the config.
    """
    import asyncio

    from byokd import logs
    from byokd.config.wanted import wanted_in
    from byokd.daemon.estate import find as find_keys
    from byokd.errors import ByokdError

    logs.configure(level="warning", stream=sys.stderr)
    chosen = [each for each in config.lanes.values() if lane in ("", each.name, each.id)]
    if not chosen:
        raise Failed(f"there is no lane {lane!r} in the config", step="See [lanes] there.", code="")
    wanted = {each.name: found for each in chosen if (found := wanted_in(each, names, tag)) is not None}
    with progress() as say:

        def seen(lane: str, count: int) -> None:
            if count % TOLD_EVERY == 0:
                say(f"{lane}: looked at {count} keys")

        results = asyncio.run(find_keys(config, wanted, tags=tags, seen=seen))
    good = {name: result for name, result in results.items() if not isinstance(result, ByokdError)}
    failed = {name: result for name, result in results.items() if isinstance(result, ByokdError)}
    _tell_trouble(config, failed, good)
    return Searched(good, failed)


def _tell_trouble(config: Config, failed: Mapping[str, ByokdError], good: Mapping[str, Found]) -> None:
    """Say what could not be seen. Raises: `typer.Exit` where nothing could be, else goes on."""
    code = Exit.REFUSED
    for name, error in failed.items():
        lane = config.lanes[name]
        where = lane.endpoint if isinstance(lane.endpoint, str) else f"AWS in {lane.region}"
        told = Failed(f"lane {name} ({where}): {error}", step=error.step, code=error.code)
        tell(told)
        code = told.exit
    for name, result in good.items():
        if result.unseen:
            first = result.unseen[0]
            typer.echo(f"byokd: lane {name}: {len(result.unseen)} keys may not be looked at: {first.why}", err=True)
    if failed and not good:
        raise typer.Exit(code)


def _listing(documents: Sequence[Document], *, tags: bool) -> Listing:
    from byokd.cli.listing import Listing, text

    headers = ("KEY", "ALIAS", "STATE", "SPEC", "TIME LEFT", "FLEET", *(("TAGS",) if tags else ()))
    rows = []
    for each in documents:
        for key in each["keys"]:
            cells = [text(key["arn"]), text(" ".join(key["aliases"]) or "-"), text(key["state"]), text(key["spec"])]
            cells += [_left(key, each["at"]), text(key["fleet"], "" if key["fleet"] else "yellow")]
            rows.append([*cells, *([text(_tags(key))] if tags else [])])
    return Listing(headers, rows, names=("KEY",))


def _left(key: Document, at: str) -> Any:
    from byokd.cli.listing import text
    from byokd.cli.rows import time_left

    if key["lost"]:
        return text("gone", "bold red")
    return text("no material" if key["expires_at"] is None else time_left(key, at))


def _tags(key: Document) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted((key["tags"] or {}).items()))


def _print_csv(documents: Sequence[Document]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("arn", "aliases", "state", "spec", "expires_at", "lost", "fleet", "tags"))
    for each in documents:
        for key in each["keys"]:
            told = (key["arn"], " ".join(key["aliases"]), key["state"], key["spec"], key["expires_at"] or "")
            writer.writerow((*told, "yes" if key["lost"] else "", key["fleet"] or "", _tags(key)))
