"""Requests are checked against AWS's own description of the API, the one botocore carries.

Required members, types, lengths, ranges, enums and patterns come from botocore's KMS service model and are not typed by
hand. Each operation's input shape is compiled once, at start, into nested closures; a request then costs only what it
contains. A check does three things in one pass: it refuses what AWS's parser cannot read (SerializationException, at
the first fault), it gathers what breaks a constraint (one ValidationException that lists every problem, worded as AWS
words it), and it returns the request converted: blobs as bytes, timestamps as epoch seconds. Members that the model
does not know are dropped, as AWS does, and null is the same as absent.

What the model cannot say (an alias prefix, 7 to 30 days) belongs to the operations. This module must not know any
operation.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import orjson
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from byokd.localkms.errors import Fault, Refusal

SERVICE: Final = "kms"

JSON_TYPES: Final = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}

# A check takes a JSON value, its path in AWS's notation and the problems found so far; it returns the converted value.
Check = Callable[[object, str, list[str]], Any]


@cache
def service_model() -> ServiceModel:
    """The KMS service model that the installed botocore carries."""
    return ServiceModel(Loader().load_service_model(SERVICE, "service-2"), SERVICE)


@cache
def request_check(operation: str) -> Callable[[bytes], dict[str, Any]]:
    """The check of one operation's request bodies: JSON text in, converted members out.

    The returned function raises Refusal with SerializationException or ValidationException.
    """
    shape = service_model().operation_model(operation).input_shape
    check = _compile(shape)

    def checked(body: bytes) -> dict[str, Any]:
        problems: list[str] = []
        request: dict[str, Any] = check(_parse(body), "", problems)
        if problems:
            raise invalid(*problems)
        return request

    return checked


def invalid(*problems: str) -> Refusal:
    """A ValidationException over the given problems, opened with their count as AWS does."""
    count = "1 validation error" if len(problems) == 1 else f"{len(problems)} validation errors"
    return Refusal(Fault.VALIDATION, f"{count} detected: {'; '.join(problems)}")


def broken(value: object, path: str, constraint: str) -> str:
    """One problem of a ValidationException: the value at the path does not satisfy the constraint."""
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _parse(body: bytes) -> object:
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # also for bad UTF-8, half a surrogate pair, and what is nested too deep
        raise Refusal(Fault.SERIALIZATION, "The request body is not valid JSON.") from None


def _compile(shape: Shape) -> Check:
    compilers: dict[str, Callable[[Any], Check]] = {
        "structure": _structure,
        "list": _list,
        "map": _map,
        "string": _string,
        "blob": _blob,
        "integer": _integer,
        "boolean": lambda _: _boolean,
        "timestamp": lambda _: _timestamp,
    }
    return compilers[shape.type_name](shape)


def _structure(shape: StructureShape) -> Check:
    members = {
        name: (name[0].lower() + name[1:], name in shape.required_members, _compile(member))
        for name, member in shape.members.items()
    }
    # Of what the model calls sensitive AWS shows no value, not even that there is none.
    absent = {name: "Value" if each.metadata.get("sensitive") else "Value null" for name, each in shape.members.items()}

    def check(value: object, path: str, problems: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "Structure")
        prefix = path and path + "."  # a nested structure's members are named after it: tags.1.member.tagKey
        converted = {}
        for name, (label, required, member) in members.items():
            given = value.get(name)
            if given is not None:
                converted[name] = member(given, prefix + label, problems)
            elif required:
                path = prefix + label
                problems.append(f"{absent[name]} at '{path}' failed to satisfy constraint: Member must not be null")
        return converted

    return check


def _list(shape: ListShape) -> Check:
    member = _compile(shape.member)
    size = _length(shape)

    def check(value: object, path: str, problems: list[str]) -> list[Any]:
        if not isinstance(value, list):
            raise _unexpected(value, "List")
        size(value, str(value), path, problems)
        return [member(item, f"{path}.{number}.member", problems) for number, item in enumerate(value, 1)]

    return check


def _map(shape: MapShape) -> Check:
    member = _compile(shape.value)

    def check(value: object, path: str, problems: list[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "Map")
        return {name: member(item, f"{path}.{name}.member", problems) for name, item in value.items()}

    return check


def _string(shape: StringShape) -> Check:
    size = _length(shape)
    allowed = frozenset(shape.enum)
    listed = ", ".join(shape.enum)
    text = shape.metadata.get("pattern")
    pattern = re.compile(text, re.ASCII) if text else None

    def check(value: object, path: str, problems: list[str]) -> str:
        if not isinstance(value, str):
            raise _unexpected(value, "String")
        size(value, value, path, problems)
        if pattern and not pattern.fullmatch(value):
            problems.append(broken(value, path, f"satisfy regular expression pattern: {text}"))
        if allowed and value not in allowed:
            problems.append(broken(value, path, f"satisfy enum value set: [{listed}]"))
        return value

    return check


def _blob(shape: Shape) -> Check:
    size = _length(shape)

    def check(value: object, path: str, problems: list[str]) -> bytes:
        if not isinstance(value, str):
            raise _unexpected(value, "Blob")
        try:
            blob = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
        except ValueError:
            raise Refusal(Fault.SERIALIZATION, f"The value at '{path}' is not valid base64.") from None
        size(blob, None, path, problems)  # never echoed: it may be a plaintext
        return blob

    return check


def _integer(shape: Shape) -> Check:
    low = shape.metadata.get("min")
    high = shape.metadata.get("max")

    def check(value: object, path: str, problems: list[str]) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _unexpected(value, "Integer")
        if low is not None and value < low:
            problems.append(broken(value, path, f"have value greater than or equal to {low}"))
        if high is not None and value > high:
            problems.append(broken(value, path, f"have value less than or equal to {high}"))
        return value

    return check


def _boolean(value: object, path: str, problems: list[str]) -> bool:
    if not isinstance(value, bool):
        raise _unexpected(value, "Boolean")
    return value


def _timestamp(value: object, path: str, problems: list[str]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unexpected(value, "Timestamp")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise Refusal(Fault.SERIALIZATION, f"The value at '{path}' is not a timestamp.")
    return seconds


def _length(shape: Shape) -> Callable[[Any, str | None, str, list[str]], None]:
    low = shape.metadata.get("min", 0)
    high = shape.metadata.get("max", math.inf)

    def check(value: Any, shown: str | None, path: str, problems: list[str]) -> None:
        if low <= len(value) <= high:
            return
        limit = f"greater than or equal to {low}" if len(value) < low else f"less than or equal to {high}"
        what = "Value" if shown is None else f"Value '{shown}'"
        problems.append(f"{what} at '{path}' failed to satisfy constraint: Member must have length {limit}")

    return check


def _unexpected(value: object, wanted: str) -> Refusal:
    match value:
        case dict():
            message = "Start of structure or map found where not expected."
        case list():
            message = "Start of list found where not expected."
        case _:
            message = f"{JSON_TYPES.get(type(value), 'NULL_VALUE')} can not be converted to {wanted}"
    return Refusal(Fault.SERIALIZATION, message)
