"""What a key carries beside its material: description, tags and key policy. Read for comparison, and for replicas."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from byokd.engine.calls import Calls
from byokd.errors import AccessDenied
from byokd.facts.estate import Attributes
from byokd.facts.key import ABSENT, Absent, KeyArn
from byokd.ports.estate import Estate

T = TypeVar("T")


async def attributes(estate: Estate, calls: Calls, arn: KeyArn, *, policy: bool = True) -> Attributes:
    """What a key carries; of what may not be read, the permission that is missing.

    Raises: KmsError, but for AccessDenied.
    """
    denied: list[str] = []

    async def read(operation: str, call: Callable[[KeyArn], Awaitable[T]]) -> T | Absent:
        try:
            return await calls.make(operation, partial(call, arn))
        except AccessDenied:
            denied.append(f"kms:{operation}")
            return ABSENT

    return Attributes(
        description=await read("DescribeKey", estate.description),
        tags=await read("ListResourceTags", estate.tags),
        policy=await read("GetKeyPolicy", estate.policy) if policy else ABSENT,
        denied=tuple(denied),
    )
