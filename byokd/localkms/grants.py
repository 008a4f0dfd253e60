"""What a grant is: an immutable value, stored and listed. Nothing here is permitted or denied by one.

Source: API reference of CreateGrant and GrantListEntry; https://docs.aws.amazon.com/kms/latest/developerguide/grants.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One grant. Optional facts are None where CreateGrant did not say them."""

    id: str
    """64 hex digits."""
    key: str
    """The ARN of its key."""
    created_at: float
    """Epoch seconds."""
    issuer: str
    """ARN of the account that made it."""
    operations: tuple[str, ...]
    name: str | None = None
    grantee: str | None = None
    grantee_service: str | None = None
    retiring: str | None = None
    retiring_service: str | None = None
    constraints: dict[str, Any] | None = None
    """As the API has them: EncryptionContextEquals, EncryptionContextSubset, SourceArn."""
