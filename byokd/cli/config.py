"""`byokd config check` and `byokd config schema`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, is_dataclass
from typing import Any

import typer

from byokd.cli.failures import Exit, Failed, tell
from byokd.cli.invocation import Json, of
from byokd.errors import ConfigError

app = typer.Typer(help="The configuration.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Read the configuration and tell every problem. Asks neither AWS nor the sources."""
    import asyncio

    from byokd.cli.listing import show_json
    from byokd.kms.regions import doubt_regions

    invocation = of(context)
    try:
        config = invocation.config()
    except ConfigError as error:
        if json:
            show_json({"ok": False, "problems": [_problem(each) for each in error.problems]})
        else:
            tell(Failed.from_error(error))
        raise typer.Exit(Exit.CONFIG) from error
    doubts = asyncio.run(doubt_regions(config.lanes.values()))
    warnings = [config.doubted(("lanes", name, "region"), doubt) for name, doubt in doubts.items()]
    keys = config.keys()
    by_fleet = Counter(key.fleet for key in keys)
    figures = {"keys": by_fleet.total(), "fleets": len(by_fleet), "lanes": len(config.lanes)}
    if json:
        show_json({"ok": True, **figures, "warnings": [_problem(each) for each in warnings]})
    else:
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        said = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in figures.items())
        print(f"{invocation.config_path} is valid: {said}")


@app.command()
def schema(json: Json = True) -> None:
    """Print the configuration's JSON Schema, for editors."""
    from byokd.cli.listing import show_json
    from byokd.config.load import json_schema

    show_json(json_schema())


def _problem(problem: object) -> dict[str, Any]:
    if is_dataclass(problem) and not isinstance(problem, type):
        return asdict(problem)
    return {"what": str(problem)}
