"""What an alias is: a name within an account and Region that points at one key there. Not a property of the key."""

from __future__ import annotations

from dataclasses import dataclass

from byokd.localkms.keys import arn_of
from byokd.localkms.signatures import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """One alias. Times are epoch seconds."""

    name: str
    """With its prefix: `alias/<name>`."""
    owner: Caller
    target: str
    """The id of the key it points at."""
    created_at: float
    updated_at: float

    @property
    def arn(self) -> str:
        """The alias ARN."""
        return arn_of(self.owner, self.name)

    @property
    def key_arn(self) -> str:
        """The ARN of the key it points at."""
        return arn_of(self.owner, f"key/{self.target}")
