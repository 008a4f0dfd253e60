"""Regions that the SDK does not know. They are doubted and never refused: a new one may be missing in its list."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from aiobotocore.session import AioSession

from byokd.facts.key import Absent
from byokd.facts.policy import Lane
from byokd.kms.identity import sdk_models


async def doubt_region(lane: Lane, session: AioSession) -> str:
    """What is odd about the lane's Region; empty where nothing is, or where the lane has an endpoint of its own."""
    if not isinstance(lane.endpoint, Absent):
        return ""
    known: list[str] = []
    for partition in session.get_available_partitions():
        known += await session.get_available_regions("kms", partition)
    if lane.region in known:
        return ""
    near = get_close_matches(lane.region, known, n=1)
    return f"the AWS SDK knows no Region {lane.region}" + (f", did you mean {near[0]}?" if near else "")


async def doubt_regions(lanes: Iterable[Lane]) -> dict[str, str]:
    """The same of lanes that are not open, by name; without those of which nothing is odd."""
    session = AioSession()
    session.register_component("data_loader", sdk_models())
    return {lane.name: doubt for lane in lanes if (doubt := await doubt_region(lane, session))}
