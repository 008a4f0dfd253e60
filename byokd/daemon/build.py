"""From settings to adapters: the one place where byokd's parts are put together, by hand and in the open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from byokd.alerts.log import LogChannel
from byokd.alerts.webhook import open_webhook
from byokd.config import schema
from byokd.config.load import Config
from byokd.decide.notices import Audience
from byokd.engine.engine import Setup
from byokd.facts.policy import Lane
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Channel, Source
from byokd.sources.command import CommandSource
from byokd.sources.file import FileSource

CREDENTIAL = "fingerprint.key"
"""Name of the fingerprint key among systemd's credentials (`LoadCredential=`) and in the state directory."""


async def build(config: Config, *, lanes: tuple[Lane, ...], stack: AsyncExitStack, key: FingerprintKey) -> Setup:
    """Open everything that a config names; `stack` closes it again.

    Opening makes no call to AWS and reads no material: trouble with them is a fact about a key, not about the start.
    """
    return Setup(
        lanes=lanes,
        sources={name: open_source(name, settings, key) for name, settings in config.sources.items()},
        channels={name: await _channel(name, settings, stack) for name, settings in config.channels.items()},
        audiences=tuple(
            Audience(
                channel=name,
                min_severity=settings.severity,
                remind_every=settings.remind_every,
                gather_for=settings.gathers_for,
            )
            for name, settings in config.channels.items()
        ),
        safety_wake=config.daemon.safety_wake,
        skew_threshold=config.daemon.skew_threshold,
        history_for=config.daemon.history_for,
    )


def fingerprint_key(config: Config, database: Path, environ: Mapping[str, str] = os.environ) -> FingerprintKey:
    """The key of fingerprints: as configured, from systemd's credentials, else in the state directory.

    It is made where there is neither a key nor a `database` yet. A lost key is not replaced: with another one, all
    material would look changed.

    Raises: SourceUnreadable, SourceUnsafe.
    """
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / CREDENTIAL
    if config.daemon.fingerprint_key is None and credential.exists():
        return FingerprintKey.load(credential)
    path = config.daemon.fingerprint_key or config.daemon.state_dir / CREDENTIAL
    return FingerprintKey.load(path) if database.exists() else FingerprintKey.load_or_create(path)


def open_source(name: str, settings: schema.SourceSettings, key: FingerprintKey) -> Source:
    """The source of these settings. Reads nothing yet."""
    match settings:
        case schema.FileSource():
            return FileSource(
                name,
                directory=settings.directory,
                encoding=Encoding(settings.encoding),
                fingerprint_key=key,
                max_bytes=settings.max_bytes,
            )
        case schema.CommandSource():
            return CommandSource(
                name,
                argv=settings.argv,
                encoding=Encoding(settings.encoding),
                fingerprint_key=key,
                timeout_s=settings.timeout.total_seconds(),
                max_bytes=settings.max_bytes,
                environment=settings.environment,
            )


async def _channel(name: str, settings: schema.ChannelSettings, stack: AsyncExitStack) -> Channel:
    match settings:
        case schema.LogChannel():
            return LogChannel(name)
        case schema.WebhookChannel():
            return await stack.enter_async_context(
                open_webhook(
                    name,
                    url=settings.url,
                    timeout_s=settings.timeout.total_seconds(),
                    secret_file=settings.secret_file,
                )
            )
