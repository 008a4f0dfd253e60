"""How views, proofs and policies are written as JSON: each class spelled out, so that a renamed field breaks a test.

Every document is read whole with its key and never searched, hence one text column each instead of a dozen. A document
has a `kind` where the type is a union. Times are as in `byokd.store.times`; durations are whole microseconds. Changing
a form needs a migration, or a reader that understands both.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal, TypeVar

from byokd.facts.key import (
    ABSENT,
    NEVER,
    NEVER_LOOKED,
    Absent,
    Blind,
    Family,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    NeverLooked,
    ObservedKey,
    ObservedMaterial,
    View,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.kinds import AUTO, Auto, MaterialKind
from byokd.facts.ledger import NOT_PROVED, Fingerprint, NotProved, Probe, Proof, Proved, Unproved
from byokd.facts.policy import ChangeWindow, OnLoss, Policy
from byokd.store.times import (
    expiry_or_absent,
    expiry_seconds,
    instant,
    instant_or_absent,
    seconds,
    seconds_or_null,
)

Document = dict[str, Any]
_Words = TypeVar("_Words", WrappingAlgorithm, WrappingKeySpec)

POLICIES_CACHED: Final = 4096
"""Distinct policies kept decoded: a fleet of a million keys has a handful, and a key's own policy is the exception."""

_encode = json.JSONEncoder(separators=(",", ":")).encode
_MICROSECOND: Final = timedelta(microseconds=1)


# -- views ------------------------------------------------------------------------------------------------------------


def write_view(view: View) -> str:
    """A view as JSON."""
    document: Document
    match view:
        case ObservedKey():
            document = _observed_document(view)
        case Blind():
            document = {
                "kind": "blind",
                "since": seconds(view.since),
                "at": seconds(view.at),
                "code": view.code,
                "message": view.message,
                "failures": view.failures,
                "last": None if isinstance(view.last, NeverLooked) else _observed_document(view.last),
            }
        case NeverLooked():
            document = {"kind": "never_looked"}
    return _encode(document)


def read_view(text: str) -> View:
    """The view that `write_view` wrote."""
    document = json.loads(text)
    match document["kind"]:
        case "observed":
            return _observed(document)
        case "blind":
            last: ObservedKey | Literal[NeverLooked.NEVER_LOOKED] = NEVER_LOOKED
            if document["last"] is not None:
                last = _observed(document["last"])
            return Blind(
                since=instant(document["since"]),
                at=instant(document["at"]),
                code=document["code"],
                message=document["message"],
                failures=document["failures"],
                last=last,
            )
        case "never_looked":
            return NEVER_LOOKED
        case kind:
            raise ValueError(f"A view of the unknown kind {kind!r}.")


def _observed_document(key: ObservedKey) -> Document:
    family = {} if isinstance(key.family, Absent) else {"family": key.family.members}
    return family | {
        "kind": "observed",
        "at": seconds(key.at),
        "arn": key.arn,
        "state": key.state.value,
        "origin": key.origin,
        "spec": key.spec,
        "expiry": expiry_seconds(key.expiry),
        "current": _or_null(key.current_material),
        "materials": [
            [
                each.material_id,
                each.state.value,
                each.imported,
                expiry_seconds(each.expiry),
                seconds_or_null(each.rotated_at),
            ]
            for each in key.materials
        ],
        "known": key.materials_known,
        "deletion_at": seconds_or_null(key.deletion_at),
        "was_disabled": key.was_disabled,
        "usage": key.usage,
        "begun_at": seconds_or_null(key.begun_at),
        "alias": _or_null(key.alias_target),
    }


def _observed(document: Document) -> ObservedKey:
    current, alias = document["current"], document["alias"]
    return ObservedKey(
        at=instant(document["at"]),
        arn=KeyArn(document["arn"]),
        state=KeyState(document["state"]),
        origin=document["origin"],
        spec=document["spec"],
        expiry=expiry_or_absent(document["expiry"]),
        current_material=ABSENT if current is None else MaterialId(current),
        materials=tuple(
            ObservedMaterial(
                material_id=MaterialId(material_id),
                state=MaterialState(state),
                imported=imported,
                expiry=expiry_or_absent(expires),
                rotated_at=instant_or_absent(next(iter(later), None)),
            )
            # What was written before rotations were known has no date for them.
            for material_id, state, imported, expires, *later in document["materials"]
        ),
        materials_known=document["known"],
        deletion_at=instant_or_absent(document["deletion_at"]),
        was_disabled=document.get("was_disabled", False),
        usage=document.get("usage", ""),
        alias_target=ABSENT if alias is None else KeyArn(alias),
        family=_family(document.get("family", ())),
        begun_at=instant_or_absent(document.get("begun_at")),
    )


def _family(members: list[str]) -> Family | Absent:
    """The primary comes first."""
    if not members:
        return ABSENT
    primary, *replicas = (KeyArn(each) for each in members)
    return Family(primary=primary, replicas=tuple(replicas))


def _or_null(text: str | Absent) -> str | None:
    return None if isinstance(text, Absent) else text


# -- proofs -----------------------------------------------------------------------------------------------------------


def write_proof(proof: Proof) -> str:
    """What the source last said, as JSON. It holds the keyed fingerprint and never the material."""
    document: Document
    match proof:
        case Proved():
            document = {
                "kind": "proved",
                "at": seconds(proof.at),
                "fingerprint": proof.fingerprint,
                "length": proof.length,
                "material": proof.kind.value,
            }
        case Unproved():
            document = {
                "kind": "unproved",
                "since": seconds(proof.since),
                "at": seconds(proof.at),
                "code": proof.code,
                "message": proof.message,
                "failures": proof.failures,
            }
        case NotProved():
            document = {"kind": "not_proved"}
    return _encode(document)


def read_proof(text: str) -> Proof:
    """The proof that `write_proof` wrote."""
    document = json.loads(text)
    match document["kind"]:
        case "proved":
            return Proved(
                at=instant(document["at"]),
                fingerprint=Fingerprint(document["fingerprint"]),
                length=document["length"],
                kind=MaterialKind(document.get("material", MaterialKind.BYTES)),
            )
        case "unproved":
            return Unproved(
                since=instant(document["since"]),
                at=instant(document["at"]),
                code=document["code"],
                message=document["message"],
                failures=document["failures"],
            )
        case "not_proved":
            return NOT_PROVED
        case kind:
            raise ValueError(f"A proof of the unknown kind {kind!r}.")


# -- probes -----------------------------------------------------------------------------------------------------------


def write_probe(probe: Probe | Absent) -> str | None:
    """What came of using a key, as JSON; None where it was not tried."""
    if isinstance(probe, Absent):
        return None
    whole = [seconds(probe.of), seconds(probe.at), probe.failures, probe.code, probe.message]
    return _encode(whole)


def read_probe(text: str | None) -> Probe | Absent:
    """The probe that `write_probe` wrote."""
    if text is None:
        return ABSENT
    of, at, failures, code, message = json.loads(text)
    return Probe(of=instant(of), at=instant(at), failures=failures, code=code, message=message)


# -- policies ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=POLICIES_CACHED)
def write_policy(policy: Policy) -> tuple[str, str]:
    """A policy's id, which is the hash of its JSON, and the JSON: equal policies are one row."""
    document: Document = {
        "valid_for": None if policy.valid_for is NEVER else policy.valid_for // _MICROSECOND,
        "renew_before": policy.renew_before // _MICROSECOND,
        "emergency_share": policy.emergency_share,
        "spread": policy.spread // _MICROSECOND,
        "renewal_floor": policy.renewal_floor // _MICROSECOND,
        "on_lapse": policy.on_lapse.value,
        "on_foreign_delete": policy.on_foreign_delete.value,
        "wrapping_algorithm": policy.wrapping_algorithm.value,
        "wrapping_key_spec": policy.wrapping_key_spec.value,
        "alert_before": [each // _MICROSECOND for each in policy.alert_before],
        "look_every": policy.look_every // _MICROSECOND,
        "drill_every": policy.drill_every // _MICROSECOND,
        "settle_for": policy.settle_for // _MICROSECOND,
    }
    # Left out where they say nothing, so that a policy without them keeps its id, and its keys count as unchanged.
    if policy.windows:
        document["windows"] = [[each.cron, each.lasts // _MICROSECOND, each.time_zone] for each in policy.windows]
    if policy.priority:
        document["priority"] = policy.priority
    if policy.probe:
        document["probe"] = True
    if policy.rotate_every is not NEVER:
        document["rotate_every"] = policy.rotate_every // _MICROSECOND
    text = _encode(document)
    return sha256(text.encode()).hexdigest()[:32], text


@lru_cache(maxsize=POLICIES_CACHED)
def read_policy(text: str) -> Policy:
    """The policy that `write_policy` wrote."""
    document = json.loads(text)
    valid_for, rotate_every = document["valid_for"], document.get("rotate_every")
    return Policy(
        valid_for=NEVER if valid_for is None else timedelta(microseconds=valid_for),
        renew_before=timedelta(microseconds=document["renew_before"]),
        emergency_share=document["emergency_share"],
        spread=timedelta(microseconds=document["spread"]),
        renewal_floor=timedelta(microseconds=document["renewal_floor"]),
        on_lapse=OnLoss(document["on_lapse"]),
        on_foreign_delete=OnLoss(document["on_foreign_delete"]),
        wrapping_algorithm=_or_auto(WrappingAlgorithm, document["wrapping_algorithm"]),
        wrapping_key_spec=_or_auto(WrappingKeySpec, document["wrapping_key_spec"]),
        alert_before=tuple(timedelta(microseconds=each) for each in document["alert_before"]),
        look_every=timedelta(microseconds=document["look_every"]),
        drill_every=timedelta(microseconds=document["drill_every"]),
        settle_for=timedelta(microseconds=document["settle_for"]),
        windows=tuple(
            ChangeWindow(cron=cron, lasts=timedelta(microseconds=lasts), time_zone=time_zone)
            for cron, lasts, time_zone in document.get("windows", ())
        ),
        priority=document.get("priority", 0),
        probe=document.get("probe", False),
        rotate_every=NEVER if rotate_every is None else timedelta(microseconds=rotate_every),
    )


def _or_auto(words: type[_Words], written: str) -> _Words | Literal[Auto.AUTO]:
    return AUTO if written == AUTO else words(written)
