"""Channels: where people are told. Each kind has its `type`; `byokd.alerts` does the telling."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from byokd.config.problems import Unfit
from byokd.config.quantities import Span
from byokd.config.settings import ConfigPath, Settings
from byokd.facts.condition import Severity


def _url(value: str) -> str:
    # The URL is never repeated: with most services, who knows it may post.
    try:
        url = urlsplit(value)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound or not value.isprintable() or " " in value:
        raise Unfit("is not the URL of a webhook", "it begins with https:// or http:// and names a host")
    return value


class _ChannelSettings(Settings):
    min_severity: Literal["info", "warning", "critical"] = "info"
    """Conditions below this severity are not told here: info, warning or critical. Default info."""

    remind_every: Annotated[timedelta, Span("1m", "30d")] = timedelta(hours=24)
    """How often an open critical condition is told again: from 1m to 30d. Default 24h."""

    @property
    def severity(self) -> Severity:
        """`min_severity` as the fact it names."""
        return Severity[self.min_severity.upper()]

    @property
    def gathers_for(self) -> timedelta:
        """The longest that alerts wait to be told together; 0: each is told by itself."""
        return timedelta()


class LogChannel(_ChannelSettings):
    """Alerts as lines of the daemon's log."""

    type: Literal["log"]
    """`log`."""


class WebhookChannel(_ChannelSettings):
    """Alerts as JSON by HTTP POST."""

    type: Literal["webhook"]
    """`webhook`."""

    url: Annotated[str, AfterValidator(_url), Field(repr=False)]
    """Where to post. Never shown or logged beyond scheme and host."""

    timeout: Annotated[timedelta, Span("1s", "1m")] = timedelta(seconds=10)
    """How long a delivery may take: from 1s to 1m. Default 10s."""

    secret_file: ConfigPath | None = None
    """File, private to byokd, with 16 to 4096 bytes that key the signature (HMAC-SHA-256, `X-Byokd-Signature`).
    Default: none, and posts are not signed."""

    gather_for: Annotated[timedelta, Span("0s", "1d")] = timedelta(hours=1)
    """Where the same befalls many keys of a lane, the first is told at once and the others together, in posts that come
    further and further apart, up to this: from 0s to 1d. Default 1h; 0s: each key has a post of its own, at once."""

    @property
    def gathers_for(self) -> timedelta:
        """See `_ChannelSettings`."""
        return self.gather_for


ChannelSettings = Annotated[LogChannel | WebhookChannel, Field(discriminator="type")]
