"""The schema as data: the JSON Schema for editors, and what it knows about the place of a problem."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from byokd.config.quantities import write
from byokd.facts.key import Never

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _TomlSchema(GenerateJsonSchema):
    """TOML has no null: a setting that may be left out is not one that may be null."""

    schema_dialect = DIALECT

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: Any) -> Any:
        """A default as it would be written in the config, where pydantic would write ISO 8601."""
        return write(dft) if isinstance(dft, timedelta | Fraction | Never) else super().encode_default(dft)

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}


class Outline:
    """Looks things up in a model's JSON Schema, by the path that pydantic gives to an error."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The whole as JSON Schema, Draft 2020-12."""
        return self._model.model_json_schema(schema_generator=_TomlSchema)

    def names(self, path: tuple[str | int, ...]) -> list[str]:
        """The settings that a table may have."""
        return list(self._at(path).get("properties", {}))

    def choices(self, path: tuple[str | int, ...]) -> list[str]:
        """The types that a source or a channel may have."""
        return list(self._at(path).get("discriminator", {}).get("mapping", {}))

    def advice(self, path: tuple[str | int, ...]) -> str:
        """What a setting means, in its own words up to the default; empty where there is nothing to say."""
        for length in range(len(path), 0, -1):
            text = " ".join(str(self._at(path[:length], follow=False).get("description", "")).split())
            if text:
                return text.partition(" Default")[0].removesuffix(".")
        return ""

    def _at(self, path: tuple[str | int, ...], *, follow: bool = True) -> dict[str, Any]:
        """The schema of one place. `follow`: of what stands there, rather than of the setting that leads to it."""
        node = self._followed(self.schema)
        for index, part in enumerate(path):
            node = _below(node, part)
            if follow or index < len(path) - 1:
                node = self._followed(node)
        return node

    def _followed(self, node: dict[str, Any]) -> dict[str, Any]:
        while reference := node.get("$ref"):
            node = self.schema["$defs"][str(reference).rpartition("/")[2]]
        return node


def _below(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    """One step down: by setting, by a name of the operator's own, by index, or by the type of a source or channel."""
    if isinstance(part, int):
        found = node.get("items", {})
    elif mapping := node.get("discriminator", {}).get("mapping"):
        found = {"$ref": mapping[part]} if part in mapping else {}
    elif "properties" in node:
        found = node["properties"].get(part, {})
    else:
        found = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties", {}))
    return found if isinstance(found, dict) else {}
