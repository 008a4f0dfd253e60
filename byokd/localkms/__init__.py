"""A stand-in for AWS KMS that knows imported key material: tokens, `ValidTo`, expiry, reimport.

It speaks AWS JSON 1.1, so that boto3, the AWS CLI and the AWS SDK for JavaScript work with no change but the endpoint::

    async with localkms.serve(localkms.Options()) as server:
        client = boto3.client("kms", endpoint_url=server.url, region_name="eu-central-1")

How a request travels::

    wire ─▶ signatures ─▶ model ─▶ expiry ─▶ operations ─▶ keys, materials ─▶ keyring ─▶ journal ─▶ answer
    HTTP    account,      shapes   what has  one file each  pure rules,        live       durable before
            Region        of AWS   lapsed                   values to values   objects    the answer leaves

and hostility, between any two of these (passage.py).

This package must never import anything of byokd outside itself: byokd proves its wrapping and its reading of the rules
against this server, and shared code would share its mistakes. Importing it is cheap; aiohttp and cryptography load in
`serve`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from byokd.localkms.clock import Clock, WallClock
from byokd.localkms.hostility import FRIENDLY, Hostility
from byokd.localkms.options import Credential, Limits, Options, Server, Signatures
from byokd.localkms.outlets import Outlets
from byokd.localkms.pace import AT_ONCE, Pace

__all__ = [
    "AT_ONCE",
    "FRIENDLY",
    "Clock",
    "Credential",
    "Hostility",
    "Limits",
    "Options",
    "Outlets",
    "Pace",
    "Server",
    "Signatures",
    "WallClock",
    "serve",
]


@asynccontextmanager
async def serve(options: Options) -> AsyncIterator[Server]:
    """Serve a local KMS until the block is left, then close its state.

    The server answers as soon as the block is entered. That is within milliseconds where the state, or `Options.pool`,
    holds a wrapping key of every spec, and within seconds where they have to be made first: no request waits for one.

    Raises: errors.StateError when the state file is in use, is damaged, is newer than this code, or lacks its key file;
    OSError when the address cannot be bound.
    """
    # Brings aiohttp, cryptography and botocore's model: half a second that an import of this package must not cost.
    from byokd.localkms.server import running

    async with running(options) as server:
        yield server
