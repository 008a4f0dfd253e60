"""How a command fails: an exit code, one sentence, and the next step. Tracebacks are for defects alone."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from byokd.errors import ByokdError, ConfigError, DaemonUnreachable, OperatorError, StoreError


class Exit(IntEnum):
    """The exit codes; a promise to scripts, told in `docs/reference/cli.md` and in `byokd --help`."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CONFIG = 3
    UNREACHABLE = 4
    STORE = 5
    ATTENTION = 6


MEANINGS = {
    Exit.OK: "done",
    Exit.REFUSED: "refused, not found, or failed otherwise",
    Exit.USAGE: "the command line makes no sense",
    Exit.CONFIG: "the configuration is invalid",
    Exit.UNREACHABLE: "the daemon does not answer, and the command needs it",
    Exit.STORE: "trouble with the store",
    Exit.ATTENTION: "something needs attention (status --check)",
}

_STORE: list[type[StoreError]] = [StoreError, *StoreError.__subclasses__()]
_BY_CODE = {
    OperatorError.code: Exit.USAGE,
    ConfigError.code: Exit.CONFIG,
    DaemonUnreachable.code: Exit.UNREACHABLE,
    **{each.code: Exit.STORE for each in _STORE},
}


class Failed(Exception):
    """The command failed, and a person is told so."""

    def __init__(self, message: str, *, step: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.step = step
        self.exit = _BY_CODE.get(code, Exit.REFUSED)

    @classmethod
    def from_error(cls, error: ByokdError) -> Failed:
        """An error of byokd met in this process."""
        return cls(str(error), step=error.step, code=error.code)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Failed:
        """An error that the daemon answered with."""
        return cls(
            str(document.get("error", "the daemon refused")),
            step=str(document.get("step", "")),
            code=str(document.get("code", "")),
        )


class Commands(TyperGroup):
    """The group of all commands: the one place where an error becomes words and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # the context's class is Typer's own affair
        """Run the command. See the class."""
        try:
            return super().invoke(ctx)
        except ByokdError as error:
            tell(Failed.from_error(error))
            raise typer.Exit(Failed.from_error(error).exit) from error
        except Failed as failed:
            tell(failed)
            raise typer.Exit(failed.exit) from failed


def tell(failed: Failed) -> None:
    """Say on stderr what failed and what to do next."""
    typer.echo(f"byokd: {failed.message}", err=True)
    if failed.step:
        typer.echo(f"  → {failed.step}", err=True)
