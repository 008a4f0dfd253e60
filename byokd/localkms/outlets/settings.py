"""Where the local KMS sends what AWS would tell the world. Plain values, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlets:
    """The outlets in use; none by default.

    Raises: ValueError for an URL that is not http or https.
    """

    webhook: str | None = None
    """URL that gets each event by POST, as EventBridge's API destinations send it. None: no webhook."""

    sqs_queue: str | None = None
    """URL of an SQS queue that gets each event as a message body, as EventBridge's SQS target sends it. None: no
    queue."""

    sqs_access_key_id: str = "local"
    """Who signs SendMessage. Emulators of SQS take any."""

    sqs_secret_access_key: str = field(default="local", repr=False)
    """The secret that goes with it."""

    trail: Path | None = None
    """File that gets a CloudTrail record of each call, one JSON object a line, appended. None: no trail."""

    trail_max_bytes: int = 64 * 1024 * 1024
    """Beyond this size the trail is renamed to `<trail>.1`, replacing an older one, and begun anew; at least 64 KiB."""

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        for name in ("webhook", "sqs_queue"):
            url = getattr(self, name)
            if url is not None and not url.startswith(("http://", "https://")):
                raise ValueError(f"{name} must be an http or https URL, not {url!r}.")
        if self.trail_max_bytes < 64 * 1024:
            raise ValueError("trail_max_bytes must be at least 65536.")
