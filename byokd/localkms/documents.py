"""How keys, aliases and grants are written down: one JSON document each, with every secret in it sealed.

A fact that has its default value is not written. The other direction must read every document that an earlier version
of this file wrote, in which all were. This file is the only one that opens a sealed material.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

import orjson

from byokd.localkms.aliases import Alias
from byokd.localkms.grants import Grant
from byokd.localkms.keys import (
    Key,
    KeyState,
    Material,
    MaterialState,
    MultiRegion,
    Origin,
    Rotation,
    Schedule,
    Transition,
)
from byokd.localkms.seal import Seal
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import KeySpec, KeyUsage


def write_key(key: Key, seal: Seal) -> str:
    """The document of a key."""
    facts = _facts(key)
    facts["materials"] = [_write_material(material, key.id, seal) for material in key.materials]
    return _text(facts)


def read_key(document: str, seal: Seal) -> Key:
    """The key of a document. Raises: BrokenSealError, ValueError, KeyError or TypeError for a damaged one."""
    facts = orjson.loads(document)
    for name, value in facts.items():
        if value is not None and (read := READERS.get(name)) is not None:
            facts[name] = read(value)
    facts["materials"] = tuple(_read_material(material, facts["id"], seal) for material in facts.get("materials", ()))
    return Key(**facts)


def write_alias(alias: Alias) -> str:
    """The document of an alias."""
    return _text(_facts(alias))


def read_alias(document: str) -> Alias:
    """The alias of a document. Raises: ValueError, KeyError or TypeError for a damaged one."""
    facts = orjson.loads(document)
    facts["owner"] = _owner(*facts["owner"])
    return Alias(**facts)


def write_grant(grant: Grant) -> str:
    """The document of a grant."""
    return _text(_facts(grant))


def read_grant(document: str) -> Grant:
    """The grant of a document. Raises: ValueError, KeyError or TypeError for a damaged one."""
    facts = orjson.loads(document)
    facts["operations"] = tuple(facts["operations"])
    return Grant(**facts)


def _write_material(material: Material, key_id: str, seal: Seal) -> dict[str, Any]:
    facts = _facts(material)
    if material.secret is not None:
        facts["secret"] = b64encode(seal.close(_purpose(key_id, material.id), material.secret)).decode()
    return facts


def _read_material(facts: dict[str, Any], key_id: str, seal: Seal) -> Material:
    facts["state"] = MaterialState(facts["state"])
    if facts["secret"] is not None:
        facts["secret"] = seal.open(_purpose(key_id, facts["id"]), b64decode(facts["secret"]))
    return Material(**facts)


def _purpose(key_id: str, material_id: str) -> str:
    return f"material {material_id} of key {key_id}"


@cache
def _owner(account: str, region: str) -> Caller:
    """One object for all keys of an account and Region."""
    return Caller(account, region)


READERS: dict[str, Callable[[Any], Any]] = {
    "owner": lambda value: _owner(*value),
    "origin": Origin,
    "spec": KeySpec,
    "usage": KeyUsage,
    "tags": lambda value: tuple((name, text) for name, text in value),
    "multi_region": lambda value: MultiRegion(value[0], tuple(value[1])),
    "transition": lambda value: Transition(KeyState(value[0]), value[1]),
    "rotation": lambda value: Rotation(*value),
    "schedule": lambda value: Schedule(*value),
}
"""How the facts of a key that are not plain JSON come back."""


DEFAULTS = {kind: tuple((each.name, each.default) for each in fields(kind)) for kind in (Key, Material, Alias, Grant)}
"""The names of all facts, each with its default; what has none is unequal to everything."""


def _facts(value: Key | Material | Alias | Grant) -> dict[str, Any]:
    """All that differs from the defaults."""
    return {name: fact for name, default in DEFAULTS[type(value)] if (fact := getattr(value, name)) != default}


def _text(facts: dict[str, Any]) -> str:
    """The JSON of a document; `tuple` makes of a named tuple what orjson knows."""
    return orjson.dumps(facts, default=tuple).decode()
