"""The embedded local KMS: byokd without AWS. Everything goes over HTTP, as it would to AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from byokd import localkms
from byokd.config import schema
from byokd.config.lanes import LOCAL
from byokd.config.load import Config
from byokd.facts.key import SYMMETRIC, Absent
from byokd.facts.kinds import KINDS
from byokd.facts.policy import Lane
from byokd.kms.identity import Identity, Session
from byokd.kms.provision import create_missing_keys
from byokd.ports import Clock

log = structlog.get_logger("byokd.daemon")


async def open_local_kms(config: Config, stack: AsyncExitStack) -> str:
    """Start the embedded local KMS; returns its URL, empty where the config has none."""
    settings = config.local_kms
    if settings is None:
        return ""
    if settings.state is not None:
        settings.state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    host, port = settings.address
    options = localkms.Options(
        host=host,
        port=port,
        admin=settings.admin_address,
        state=settings.state,
        clock=localkms.WallClock(settings.rate),
        hostility=localkms.FRIENDLY if settings.friendly else localkms.Hostility(seed=settings.seed),
        pace=localkms.AT_ONCE if settings.friendly else localkms.Pace(),
    )
    server = await stack.enter_async_context(localkms.serve(options))
    log.info("local_kms_serves", url=server.url, **({"admin": server.admin_url} if server.admin_url else {}))
    return server.url


def resolved(lanes: Mapping[str, Lane], url: str) -> tuple[Lane, ...]:
    """The lanes, with the local KMS's URL in place of the word for it."""
    return tuple(replace(lane, endpoint=url) if lane.endpoint == LOCAL else lane for lane in lanes.values())


def identity_of(lane: Lane, url: str) -> Identity | None:
    """The local KMS takes any credentials, and an access key id of 12 digits as the account; None for other lanes."""
    if not url or lane.endpoint != url:
        return None
    return Identity(access_key_id=lane.account, secret_access_key="local")


async def furnish(config: Config, url: str, *, clock: Clock, session: Session) -> None:
    """Make the keys and the material that the config names and that do not exist, as far as it switches that on."""
    settings = config.local_kms
    if settings is None:
        return
    config = config.whole()
    for lane in resolved(config.lanes, url):
        identity = identity_of(lane, url)
        if identity is None:
            continue
        keys = [key for key in config.keys() if key.lane == lane.id]  # noqa: SIM118 -- a stream of keys, not a dict
        if settings.create_missing_keys:
            aliases = [key.name for key in keys if not isinstance(key.alias, Absent)]
            made = await create_missing_keys(lane, aliases, clock=clock, session=session, identity=identity)
            if made:
                log.info("local_keys_created", lane=lane.name, keys=made)
        if settings.create_missing_material:
            for key in keys:
                for locator in key.locators:
                    _write_material(locator, config.sources[key.source])


def _write_material(locator: str, source: schema.SourceSettings) -> None:
    if not isinstance(source, schema.FileSource) or source.encoding != "raw":
        return
    path = Path(locator) if source.directory is None else source.directory / locator
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(KINDS[SYMMETRIC].length))
