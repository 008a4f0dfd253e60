"""The replicas of a multi-Region key, as its primary's entry names them: the same key in other lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from byokd.config.names import parse_name, partition
from byokd.config.problems import Unfit, did_you_mean, quoted
from byokd.facts.policy import DesiredKey, Lane
from byokd.facts.relative import MULTI_REGION


def replicas_of(
    primary: DesiredKey, names: Sequence[str], lanes: Mapping[str, Lane], written: Sequence[str]
) -> list[DesiredKey]:
    """A key for each lane named, of those that are sound; `written` has all that are there, sound or not.

    Raises: Unfit.
    """
    name = parse_name(primary.name)
    if not name.is_alias and not name.resource.startswith(MULTI_REGION):
        raise Unfit(f"{primary.name} is a key of a single Region", "only keys whose id begins with mrk- have some")
    account, _, home = primary.lane.partition("/")
    keys: list[DesiredKey] = []
    for called in names:
        lane = lanes.get(called)
        if lane is None:
            if called in written:
                continue  # its own problem has been told
            raise Unfit(f"there is no lane {quoted(called)}", did_you_mean(called, list(written)))
        if (lane.account, partition(lane.region)) != (account, partition(home)):
            raise Unfit(f"lane {called} is of another account or partition", "a replica is in its primary's")
        if lane.id == primary.lane or lane.id in [each.lane for each in keys]:
            raise Unfit(f"lane {called} has a key of this family already", "one key in each Region")
        ref, arn = name.in_lane(lane)
        said = arn if isinstance(arn, str) and primary.name == primary.arn else primary.name
        keys.append(replace(primary, ref=ref, lane=lane.id, name=said, arn=arn))
    return keys
