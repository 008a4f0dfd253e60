"""TagResource, UntagResource and ListResourceTags. Source: API reference of each; recorded answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.pages import page

TAGS_MAX: Final = 50
"""Tags on one key (guide, page on tagging keys)."""


async def tag_resource(call: Call) -> Answer:
    """Add tags to a key, or change their values. Raises: Refusal as the key-state table and check_tags say."""
    key = call.key()
    given = call.request["Tags"]
    tags = dict(key.tags) | {tag["TagKey"]: tag["TagValue"] for tag in given}
    check_tags(given, tags)
    call.keyring.put(replace(key, tags=tuple(sorted(tags.items()))))
    return None


async def untag_resource(call: Call) -> Answer:
    """Take tags off a key; unknown ones are passed over. Raises: Refusal as the key-state table says."""
    key = call.key()
    unwanted = set(call.request["TagKeys"])
    call.keyring.put(replace(key, tags=tuple((name, value) for name, value in key.tags if name not in unwanted)))
    return None


async def list_resource_tags(call: Call) -> Answer:
    """A page of a key's tags (Limit 1 to 50, default 50). Raises: Refusal with InvalidMarkerException."""
    tags = dict(call.key().tags)
    names, closing = page(list(tags), call.request, default=50, most=50)
    return {"Tags": [{"TagKey": name, "TagValue": tags[name]} for name in names], **closing}


def check_tags(given: Sequence[Mapping[str, str]], together: Mapping[str, str]) -> None:
    """Let tags pass: those of a request, and all that the key would then have. Raises: Refusal with TagException."""
    names = [tag["TagKey"] for tag in given]
    if len(set(names)) < len(names):
        raise Refusal(Fault.TAG, "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in names):
        raise Refusal(Fault.TAG, "Tags beginning with aws: are reserved")
    if len(together) > TAGS_MAX:
        raise Refusal(Fault.TAG, "Too many tags")
