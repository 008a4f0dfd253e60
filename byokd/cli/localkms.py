"""`byokd localkms serve`: the local KMS in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from byokd.cli.failures import Failed

if TYPE_CHECKING:
    from byokd.localkms import Options

app = typer.Typer(
    help="A local stand-in for AWS KMS, for tests and trials.", no_args_is_help=True, rich_markup_mode=None
)

IN_MEMORY: Final = ":memory:"


@app.callback()
def localkms() -> None:
    """A local stand-in for AWS KMS, for tests and trials. It guards nothing: any credentials open it."""


@app.command()
def serve(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
    ] = "127.0.0.1:0",
    state: Annotated[str, typer.Option(metavar="FILE|:memory:", help="Where the keys are kept.")] = IN_MEMORY,
    friendly: Annotated[bool, typer.Option("--friendly", help="Turn all hostility off, and all waiting.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints `listening on http://...` when ready, and nothing else."""
    import asyncio

    from byokd.localkms import AT_ONCE, FRIENDLY, Hostility, Options, Pace
    from byokd.localkms.errors import StateError

    host, port = _address(listen)
    options = Options(
        host=host,
        port=port,
        state=None if state == IN_MEMORY else Path(state),
        hostility=FRIENDLY if friendly else Hostility(),
        pace=AT_ONCE if friendly else Pace(),
    )
    try:
        asyncio.run(_serve(options, json=json))
    except StateError as error:
        raise Failed(str(error), step="", code="store") from error
    except OSError as error:
        raise Failed(f"cannot serve on {listen}: {error.strerror or error}", step="", code="") from error


async def _serve(options: Options, *, json: bool) -> None:
    import asyncio
    import signal

    from byokd.localkms import serve as serve_kms

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve_kms(options) as server:
        print(f'{{"url": "{server.url}"}}' if json else f"listening on {server.url}", flush=True)
        await stop.wait()


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise typer.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)
