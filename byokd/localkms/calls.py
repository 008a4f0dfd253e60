"""A call: one request of a known operation, checked against the service model, on its way through the rules.

It carries all that an operation may touch. An operation is a coroutine function from a Call to the members of its
answer, or None where the API answers nothing. It runs without interruption up to its first await; most have none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from byokd.localkms import states
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, arn_of
from byokd.localkms.names import ALIAS_PREFIX, resource_named
from byokd.localkms.pace import PACE, Pace
from byokd.localkms.seal import Seal
from byokd.localkms.signatures import Caller
from byokd.localkms.wrapping import WrappingKeys

Answer = dict[str, Any] | None


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for every request, and freezing costs as much as a check
class Call:
    """One request. Nobody changes it."""

    operation: str
    caller: Caller
    now: float
    """When it arrived, epoch seconds: the only time that its operation knows."""
    request: dict[str, Any] = field(repr=False)
    keyring: Keyring
    wrapping: WrappingKeys
    seal: Seal
    pace: Pace = PACE
    """How long what AWS does in the background takes."""
    find: Callable[[str], Key | None] | None = None
    """How it finds keys by their ARN. None: as they are now; a read that is behind sees what they were."""
    token_s: float | None = None
    """How long the import token that it asks for will really live, seconds. None: as long as the answer says."""

    def key(self, member: str = "KeyId", *, aliases: bool = False) -> Key:
        """The key that a member of the request names, if the key-state table lets this operation have it.

        Raises: Refusal with NotFoundException or AccessDeniedException when there is no such key for this caller, or as
        states.admit.
        """
        key = self.any_key(self.request[member], aliases=aliases)
        states.admit(self.operation, key)
        return key

    def any_key(self, identifier: str, *, aliases: bool = False) -> Key:
        """The key that an identifier names, in whatever state. Raises: as `key`, but for the table."""
        resource = resource_named(identifier, self.caller, aliases=aliases)
        if resource.startswith(ALIAS_PREFIX):
            alias = self.keyring.alias(arn_of(self.caller, resource))
            if alias is None:
                raise no_such_alias(self.caller, resource)
            resource = f"key/{alias.target}"
        arn = arn_of(self.caller, resource)
        key = self.keyring.key(arn) if self.find is None else self.find(arn)
        if key is None:
            raise Refusal(Fault.NOT_FOUND, f"Key '{arn}' does not exist")
        return key

    def finish_dry_run(self) -> None:
        """End the call here if it only asks whether it would succeed. Raises: Refusal with DryRunOperationException."""
        if self.request.get("DryRun"):
            raise Refusal(Fault.DRY_RUN, "The request would have succeeded, but the DryRun option is set.")


Operation = Callable[[Call], Awaitable[Answer]]


def no_such_alias(caller: Caller, name: str) -> Refusal:
    """The NotFoundException for an alias."""
    return Refusal(Fault.NOT_FOUND, f"Alias {arn_of(caller, name)} is not found.")
