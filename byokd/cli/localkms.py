"""`byokd localkms serve`: the local KMS in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from byokd.cli.assignments import assigned
from byokd.cli.failures import Failed

if TYPE_CHECKING:
    from byokd.localkms import Options, Outlets

app = typer.Typer(
    help="A local stand-in for AWS KMS, for tests and trials.", no_args_is_help=True, rich_markup_mode=None
)

IN_MEMORY: Final = ":memory:"
FREE_PORT: Final = "127.0.0.1:0"
ADDRESS: Final = "HOST:PORT"
NAMED: Final = "NAME=VALUE"


@app.callback()
def localkms() -> None:
    """A local stand-in for AWS KMS, for tests and trials. It guards nothing: any credentials open it."""


@app.command()
def serve(
    listen: Annotated[str, typer.Option(metavar=ADDRESS, help="Where to listen; port 0: a free one.")] = FREE_PORT,
    admin: Annotated[str, typer.Option(metavar=ADDRESS, help="Where to serve the admin endpoint; loopback only.")] = "",
    state: Annotated[str, typer.Option(metavar="FILE|:memory:", help="Where the keys are kept.")] = IN_MEMORY,
    account: Annotated[str, typer.Option(help="Account of access key ids that are not 12 digits.")] = "000000000000",
    credentials: Annotated[str, typer.Option(metavar="FILE", help="Access keys; without them any is good.")] = "",
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Whether signatures are verified.")] = True,
    skew: Annotated[float, typer.Option(help="How far a signature's date may be off, seconds, up to a day.")] = 300.0,
    rate: Annotated[float, typer.Option(help="Seconds of its clock in a real second.")] = 1.0,
    friendly: Annotated[bool, typer.Option("--friendly", help="Turn all hostility off, and all waiting.")] = False,
    seed: Annotated[int, typer.Option(help="Where the draws of hostility start.")] = 0,
    hostile: Annotated[list[str] | None, typer.Option(metavar=NAMED, help="Set one kind of hostility.")] = None,
    outlet: Annotated[
        list[str] | None, typer.Option(metavar=NAMED, help="Set where events and calls are told.")
    ] = None,
    limit: Annotated[list[str] | None, typer.Option(metavar=NAMED, help="Set a limit on clients.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints `listening on http://...` when ready, and nothing else.

    With --admin the same line goes on with `, admin on http://...`.
    """
    import asyncio
    from dataclasses import replace

    from byokd.localkms import AT_ONCE, FRIENDLY, Hostility, Limits, Options, Outlets, Pace, Signatures, WallClock
    from byokd.localkms.credentials import read_credentials
    from byokd.localkms.errors import StateError

    host, port = _address(listen, "--listen")
    hostility = replace(FRIENDLY if friendly else Hostility(), seed=seed)
    try:
        options = Options(
            host=host,
            port=port,
            admin=_address(admin, "--admin") if admin else None,
            state=None if state == IN_MEMORY else Path(state),
            account=account,
            signatures=Signatures(
                verify=verify,
                credentials=read_credentials(Path(credentials)) if credentials else {},
                skew_s=skew,
            ),
            clock=WallClock(rate),
            pace=AT_ONCE if friendly else Pace(),
            hostility=assigned(hostility, hostile or (), option="--hostile"),
            outlets=assigned(_signed(Outlets()), outlet or (), option="--outlet"),
            limits=assigned(Limits(), limit or (), option="--limit"),
        )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    try:
        asyncio.run(_serve(options, json=json))
    except StateError as error:
        raise Failed(str(error), step="", code="store") from error
    except OSError as error:
        what = error.filename or f"cannot serve on {listen}"
        raise Failed(f"{what}: {error.strerror or error}", step="", code="") from error


def _signed(outlets: Outlets) -> Outlets:
    """Who signs messages to SQS: the environment's access key, as with AWS's tools; a secret has no place in argv."""
    from dataclasses import replace

    key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return replace(outlets, sqs_access_key_id=key_id, sqs_secret_access_key=secret) if key_id and secret else outlets


async def _serve(options: Options, *, json: bool) -> None:
    import asyncio
    import gc
    import signal
    from json import dumps

    from byokd.localkms import serve as serve_kms

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve_kms(options) as server:
        told = {"url": server.url} | ({"admin_url": server.admin_url} if server.admin_url else {})
        # Whatever is there now stays: to look through a hundred thousand keys for garbage would make requests wait.
        gc.collect()
        gc.freeze()
        line = ", ".join(f"{what} on {url}" for what, url in zip(("listening", "admin"), told.values(), strict=False))
        print(dumps(told) if json else line, flush=True)
        await stop.wait()


def _address(written: str, option: str) -> tuple[str, int]:
    host, colon, port = written.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise typer.BadParameter(f"{written!r} is not HOST:PORT", param_hint=option)
    return host.removeprefix("[").removesuffix("]"), int(port)
