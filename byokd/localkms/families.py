"""Multi-Region keys: what an operation on one key of a family does to the others.

A family is one primary and its replicas, each in a Region of its own. They share the key id, spec, usage, origin,
rotation and, under the same KeyMaterialIds, the materials; policy, tags, aliases, description, state, and for imported
material its presence and expiry, are each key's own::

    rotation of imported material:
       primary   NEW ─▶ PENDING_MULTI_REGION_IMPORT_AND_ROTATION ─┬─▶ PENDING_ROTATION ─ RotateKeyOnDemand ─▶ CURRENT
       replicas            EXISTING ─▶ PENDING_ROTATION ──────────┘ (the last one)                    ─▶ CURRENT

Every function takes a key and its relatives (the other keys of its family; none for a single-Region key) and returns
all keys that change, to be kept together. A family's `multi_region` is one value, the same in all its keys.

Source: API reference of ReplicateKey, UpdatePrimaryRegion, ImportKeyMaterial, DeleteImportedKeyMaterial and
RotateKeyOnDemand; https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html.
This file must not read a clock or know how a request looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, KeyState, Material, MaterialState, MultiRegion, Origin, Rotation, Transition
from byokd.localkms.materials import ROTATIONS_MAX, Import, generated, imported, rotated, without
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import fresh_secret

DAY_S: Final = 24 * 3600
QUIET_S: Final = 20 * 60
"""How close to a scheduled rotation none on demand may begin (API reference: "within the next 20 minutes")."""


def primary_only(key: Key) -> None:
    """Let a key pass that is the primary of a family. Raises: Refusal with UnsupportedOperationException."""
    if not key.primary:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"{key.arn} is not a multi-region primary key.")


def take_import(key: Key, relatives: Sequence[Key], given: Import) -> tuple[list[Key], str]:
    """The keys after an import into one of them, and the material's id. Raises: as materials.imported."""
    primary = _primary(relatives) if key.replica else None
    pending = None if primary is None else primary.pending
    promised = []
    if pending is not None:
        promised.append(_vacant(pending, MaterialState.PENDING_ROTATION))
    if key.replica and key.pending is not None and (pending is None or pending.id != key.pending.id):
        key = without(key, key.pending.id)  # its primary has lost it since
    after, identity = imported(key, given, promised=promised)
    if primary is None or pending is None or pending.id != identity:
        return [after], identity
    replicas = [after, *(each for each in relatives if each.replica)]
    if all(_holds(each, identity) for each in replicas):
        return [after, _with_state(primary, MaterialState.PENDING_ROTATION)], identity
    return [after], identity


def drop_material(key: Key, relatives: Sequence[Key], identity: str) -> list[Key]:
    """The keys after the bytes of a material of one of them are gone, by deletion or expiry.

    What was pending in a primary is forgotten in all its replicas; nothing else touches a relative.
    """
    material = key.material(identity)
    after = without(key, identity)
    if after is key:
        return []
    if material is not None and not material.permanent and key.primary:
        return [after, *_forgetting(relatives, identity)]
    return [after]


def begin_rotation(key: Key, relatives: Sequence[Key], *, now: float, done_at: float) -> list[Key]:
    """The keys after a rotation on demand has begun, from `now` until `done_at` (epoch seconds).

    Raises: Refusal with UnsupportedOperationException for a replica; ConflictException while a rotation is in progress
    or a scheduled one is near; LimitExceededException beyond ROTATIONS_MAX; KMSInvalidStateException when no material
    is pending, or it is not in every replica.
    """
    if key.replica:
        primary_only(key)
    if key.rotation is not None or (key.schedule is not None and key.schedule.next_at - now <= QUIET_S):
        raise Refusal(Fault.CONFLICT, f"A rotation of the key is in progress or about to begin: {key.arn}.")
    if key.rotations >= ROTATIONS_MAX:
        raise Refusal(
            Fault.LIMIT_EXCEEDED,
            "The on-demand rotations limit has been reached for the given keyId. "
            f"No more on-demand rotations can be performed for this key: {key.arn}",
        )
    if key.origin is Origin.EXTERNAL:
        pending = key.pending
        ready = pending is not None and pending.state is MaterialState.PENDING_ROTATION
        if pending is None or not ready or not all(_holds(each, pending.id) for each in relatives):
            message = f"No available key material pending rotation for the key: {key.arn}."
            raise Refusal(Fault.INVALID_STATE, message)
    begun = replace(key, rotation=Rotation(now, done_at))
    return [replace(each, rotations=key.rotations + 1) for each in (begun, *relatives)]


def finish_rotation(key: Key, relatives: Iterable[Key], now: float) -> list[Key]:
    """The keys after the rotation that was in progress. If its material has gone meanwhile, nothing is rotated."""
    key = replace(key, rotation=None)
    if key.origin is Origin.AWS_KMS:
        key = generated(key, fresh_secret(key.spec))
    if (pending := key.pending) is None:
        return [key]
    return [_turned(each, pending, now, automatic=False) for each in (key, *relatives)]


def rotate_on_schedule(key: Key, relatives: Iterable[Key]) -> list[Key]:
    """The keys after a scheduled rotation at its very moment. Only keys of Origin AWS_KMS have a schedule."""
    assert key.schedule is not None
    now = key.schedule.next_at
    schedule = key.schedule._replace(next_at=now + key.schedule.period_days * DAY_S)
    fresh = generated(key, fresh_secret(key.spec)).pending
    assert fresh is not None
    return [replace(_turned(each, fresh, now, automatic=True), schedule=schedule) for each in (key, *relatives)]


def replicate(key: Key, relatives: Sequence[Key], replica: Key) -> list[Key]:
    """The keys after a primary has got a replica.

    `replica` has all that is its own; its materials and everything shared come from the primary. Imported material
    comes without its bytes: those are to be imported once more.

    Raises: Refusal with AlreadyExistsException when the Region has one of the family.
    """
    assert key.multi_region is not None
    region = replica.owner.region
    if region == key.owner.region or region in key.multi_region.replicas:
        raise Refusal(Fault.ALREADY_EXISTS, f"Key '{replica.arn}' already exists")
    family = MultiRegion(key.multi_region.primary, tuple(sorted((*key.multi_region.replicas, region))))
    if key.origin is Origin.EXTERNAL:
        owned = [_vacant(each, each.state) for each in key.materials]
        key = _with_state(key, MaterialState.PENDING_MULTI_REGION)  # the new replica lacks it
    else:
        owned = list(key.materials)
    replica = replace(
        replica,
        materials=tuple(each for each in owned if each.permanent),
        rotations=key.rotations,
        schedule=key.schedule,
    )
    return [replace(each, multi_region=family) for each in (key, *relatives, replica)]


def move_primary(key: Key, relatives: Sequence[Key], region: str, until: float) -> list[Key]:
    """The keys after the replica in a Region has become the primary; both are Updating `until` (epoch seconds).

    What was pending in the old primary stays pending if the new one holds it, and is forgotten otherwise.
    """
    assert key.multi_region is not None
    others = {*key.multi_region.replicas, key.owner.region} - {region}
    family = MultiRegion(region, tuple(sorted(others)))
    updating = Transition(KeyState.UPDATING, until)
    new = next(each for each in relatives if each.owner.region == region)
    new = replace(new, rotation=key.rotation, transition=updating, multi_region=family)
    old = replace(key, rotation=None, transition=updating, multi_region=family)
    rest = [replace(each, multi_region=family) for each in relatives if each.owner.region != region]
    pending = key.pending
    if pending is None:
        return [new, old, *rest]
    replicas = [old, *rest]
    if not _holds(new, pending.id):
        changed = {each.arn: each for each in _forgetting(replicas, pending.id)}
        return [new, *(changed.get(each.arn, each) for each in replicas)]
    ready = all(_holds(each, pending.id) for each in replicas)
    state = MaterialState.PENDING_ROTATION if ready else MaterialState.PENDING_MULTI_REGION
    return [_with_state(new, state), *(_with_state(each, MaterialState.PENDING_ROTATION) for each in replicas)]


def bury(key: Key, relatives: Sequence[Key], now: float) -> list[Key]:
    """The relatives of a replica after it was deleted at `now` (epoch seconds).

    With the last replica, the waiting period of a primary begins whose deletion was scheduled (ScheduleKeyDeletion).
    """
    if key.multi_region is None:
        return []
    family = key.multi_region._replace(
        replicas=tuple(region for region in key.multi_region.replicas if region != key.owner.region)
    )
    left = [replace(each, multi_region=family) for each in relatives]
    return [_released(each, left, now) if each.primary else each for each in left]


def _released(primary: Key, family: Sequence[Key], now: float) -> Key:
    """A primary that has one replica fewer."""
    pending = primary.pending
    if pending is not None and all(_holds(each, pending.id) for each in family if each.replica):
        primary = _with_state(primary, MaterialState.PENDING_ROTATION)
    days = primary.deletion_window_days
    if days is None or any(each.replica for each in family):
        return primary
    return replace(primary, deletion_window_days=None, deletion_at=now + days * DAY_S)


def replica_of(key: Key, region: str) -> Caller:
    """The account and Region in which a replica of a key lives."""
    return Caller(key.owner.account, region)


def _primary(relatives: Iterable[Key]) -> Key | None:
    return next((each for each in relatives if each.primary), None)


def _vacant(material: Material, state: MaterialState) -> Material:
    """What a relative's key knows of a material before it is imported there."""
    return replace(material, state=state, secret=None, expires_at=None, description=None)


def _holds(key: Key, identity: str) -> bool:
    material = key.material(identity)
    return material is not None and material.secret is not None


def _forgetting(keys: Iterable[Key], identity: str) -> list[Key]:
    """Those of the keys in which the material was pending, without it."""
    return [without(each, identity) for each in keys if each.pending is not None and each.pending.id == identity]


def _with_state(key: Key, state: MaterialState) -> Key:
    """The key with its pending material, if it has one, in another state."""
    materials = tuple(each if each.permanent else replace(each, state=state) for each in key.materials)
    return replace(key, materials=materials)


def _turned(key: Key, to: Material, now: float, *, automatic: bool) -> Key:
    """One key of a family after its rotation. A replica of Origin AWS_KMS gets the fresh bytes from its primary."""
    if key.origin is Origin.AWS_KMS and key.material(to.id) is None:
        key = replace(key, materials=(*key.materials, to))
    return rotated(key, to, now, automatic=automatic)
