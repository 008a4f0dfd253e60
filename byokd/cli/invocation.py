"""What was given before the command's name: the config and the socket; and the options that commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from byokd.cli.reach import Reach
    from byokd.config.load import Config

DEFAULT_CONFIG: Final = Path("/etc/byokd/byokd.toml")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the daemon's API gives it.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="ARN, key id or alias.", show_default=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of byokd. The config is read only by commands that need it."""

    config_path: Path
    socket: Path | None
    """Stands in for the config's `daemon.socket`: the daemon can be asked while its config file is broken."""

    def config(self) -> Config:
        """Read the configuration. Raises `ConfigError`."""
        from byokd.config.load import load

        return load(self.config_path)

    def settings(self) -> Config:
        """Read the configuration but for its keys: a million of them take a minute. Raises `ConfigError`."""
        from byokd.config.load import read

        return read(self.config_path)

    def database(self) -> Path:
        """Where the daemon keeps its store. Raises `ConfigError`."""
        return self.settings().daemon.state_dir / "byokd.db"

    def reach(self) -> Reach:
        """The way to answers."""
        from byokd.cli.reach import Reach, Record

        socket = self.socket or self.settings().daemon.socket
        return Reach(
            socket,
            Record(self.database),
            warn=lambda text: typer.echo(f"byokd: {text}", err=True),
            lanes=lambda: tuple(self.settings().lanes.values()),
        )


def of(context: typer.Context) -> Invocation:
    """The invocation that a command belongs to."""
    found = context.find_object(Invocation)
    assert found is not None, "the callback of `byokd` runs before any command"
    return found
