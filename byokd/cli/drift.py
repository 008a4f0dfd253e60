"""`byokd drift`: what config, AWS as last seen, and byokd's journal say differently of the same keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byokd.cli.failures import Exit, Failed
from byokd.cli.invocation import Json, of

if TYPE_CHECKING:
    from byokd.config.load import Config

Document = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    context: typer.Context,
    json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 6 if there is a difference.")] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask AWS whether the keys of this manifest are as they were to be made."),
    ] = None,
    lane: Annotated[str, typer.Option(help="The lane of the manifest: its name, or ACCOUNT/REGION.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many differences of each sort.")] = 100,
) -> None:
    """Show where config, AWS as last seen, and journal differ."""
    from byokd.cli import rows
    from byokd.cli.listing import show, show_json, stdout, text

    if lane and manifest is None:
        raise typer.BadParameter("--lane belongs to --manifest", param_hint="--lane")
    document = of(context).reach().drift({"limit": str(limit)})
    if manifest is not None:
        found, hidden = _from_manifest(of(context).config(), manifest, lane)
        document["drift"] += found[:limit]
        document["differences"] += len(found)
        document["not_compared"] += hidden[:limit]
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


def _from_manifest(config: Config, manifest: Path, lane: str) -> tuple[list[Document], list[Document]]:
    """What AWS shows of the keys of a manifest otherwise than it says, and what of them could not be seen.

    Raises: Failed; ByokdError.
    """
    import asyncio

    from byokd.cli.find import search
    from byokd.config.manifest import read_manifest
    from byokd.config.problems import Problems
    from byokd.daemon.estate import attributes_of
    from byokd.decide.drift import from_manifest, not_read
    from byokd.errors import ManifestInvalid
    from byokd.facts.estate import Attributes
    from byokd.web import drift as documents

    chosen = [each for each in config.lanes.values() if lane in ("", each.name, each.id)]
    if len(chosen) != 1:
        known = ", ".join(config.lanes)
        raise Failed("name the lane of the manifest's keys", step=f"--lane NAME; known here: {known}", code="operator")
    problems = Problems()
    wanted = [row.key for row in read_manifest(manifest, problems)]
    if problems:
        told = "\n".join(str(each) for each in problems.by_place())
        raise Failed(told, step="Nothing was compared. Correct the places named.", code=ManifestInvalid.code)
    found = search(config, [key.alias for key in wanted], (), chosen[0].name).found[chosen[0].name]
    by_alias = {alias: key for key in found.keys for alias in key.aliases}
    unseen = {alias: each.why for each in found.unseen for alias in each.aliases}
    asked = {by_alias[key.alias].seen.arn: isinstance(key.policy, str) for key in wanted if key.alias in by_alias}
    carried = asyncio.run(attributes_of(config, chosen[0].name, asked))
    lines: list[Document] = []
    hidden = [documents.hidden(key.alias, unseen[key.alias]) for key in wanted if key.alias in unseen]
    for key in wanted:
        if key.alias in unseen:
            continue
        there = by_alias.get(key.alias)
        has = Attributes() if there is None else carried[there.seen.arn]
        lines += documents.from_manifest(key.alias, from_manifest(key, there, has))
        hidden += [documents.hidden(key.alias, why) for why in not_read(key, has)]
    return lines, hidden
