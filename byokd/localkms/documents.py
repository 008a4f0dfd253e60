"""How keys and aliases are written down: one JSON document each, with every secret in it sealed.

The other direction must read every document that an earlier version of this file wrote. This file is the only one that
opens a sealed material.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import fields
from typing import Any

from byokd.localkms.aliases import Alias
from byokd.localkms.keys import Key, Material, MaterialState, Origin
from byokd.localkms.seal import Seal
from byokd.localkms.signatures import Caller


def write_key(key: Key, seal: Seal) -> str:
    """The document of a key."""
    facts = _facts(key)
    facts["materials"] = [_write_material(material, key.id, seal) for material in key.materials]
    return json.dumps(facts)


def read_key(document: str, seal: Seal) -> Key:
    """The key of a document. Raises: BrokenSealError, ValueError, KeyError or TypeError for a damaged one."""
    facts = json.loads(document)
    facts["owner"] = Caller(*facts["owner"])
    facts["origin"] = Origin(facts["origin"])
    facts["tags"] = tuple((name, value) for name, value in facts["tags"])
    facts["materials"] = tuple(_read_material(material, facts["id"], seal) for material in facts["materials"])
    return Key(**facts)


def write_alias(alias: Alias) -> str:
    """The document of an alias."""
    return json.dumps(_facts(alias))


def read_alias(document: str) -> Alias:
    """The alias of a document. Raises: ValueError, KeyError or TypeError for a damaged one."""
    facts = json.loads(document)
    facts["owner"] = Caller(*facts["owner"])
    return Alias(**facts)


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


def _facts(value: Key | Material | Alias) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
