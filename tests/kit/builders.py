"""Facts with sensible defaults, so that a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from byokd.facts.key import (
    ABSENT,
    SYMMETRIC,
    KeyArn,
    KeyRef,
    KeyState,
    LaneId,
    MaterialId,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.ledger import (
    Fingerprint,
    Import,
    ImportState,
    Ledger,
    Order,
    OrderKind,
    OrderState,
    Proved,
    Tier,
    Track,
)
from byokd.facts.policy import DesiredKey, Lane, OnLoss, Policy, Quota
from byokd.facts.snapshot import Snapshot
from tests.kit.clock import START

DAY = timedelta(days=1)
LANE_ID = LaneId("111122223333/eu-central-1")
ARN = KeyArn("arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001")
MATERIAL = MaterialId("ab" * 32)
FINGERPRINT = Fingerprint("cd" * 32)
OPERATIONS = (
    "GetParametersForImport",
    "ImportKeyMaterial",
    "DescribeKey",
    "ListKeyRotations",
    "DeleteImportedKeyMaterial",
    "ListKeys",
    "ListAliases",
    "ListResourceTags",
    "GetKeyPolicy",
    "CreateKey",
    "CreateAlias",
    "ReplicateKey",
    "RotateKeyOnDemand",
    "Encrypt",
    "Decrypt",
    "Sign",
    "Verify",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    "GetPublicKey",
)


def policy(**changes: Any) -> Policy:
    """Ninety days of life, renewed in the last thirty, without spread."""
    base = Policy(
        valid_for=90 * DAY,
        renew_before=30 * DAY,
        emergency_share=0.05,
        spread=timedelta(0),
        renewal_floor=timedelta(hours=1),
        on_lapse=OnLoss.HEAL,
        on_foreign_delete=OnLoss.HEAL,
        wrapping_algorithm=WrappingAlgorithm.OAEP_SHA_256,
        wrapping_key_spec=WrappingKeySpec.RSA_4096,
        alert_before=(30 * DAY, 14 * DAY, 7 * DAY, 3 * DAY, DAY),
        look_every=timedelta(hours=6),
        drill_every=DAY,
        settle_for=timedelta(minutes=2),
    )
    return replace(base, **changes)


def desired(*, arn: KeyArn = ARN, **changes: Any) -> DesiredKey:
    """One key of a fleet named payments, its material in a file."""
    base = DesiredKey(
        ref=KeyRef(arn),
        lane=LANE_ID,
        name=arn,
        arn=arn,
        fleet="payments",
        source="files",
        locator="payments.key",
        policy=policy(),
    )
    return replace(base, **changes)


def lane(**changes: Any) -> Lane:
    """A lane with generous quotas."""
    base = Lane(
        id=LANE_ID,
        name="prod",
        account="111122223333",
        region="eu-central-1",
        endpoint=ABSENT,
        fips=False,
        dual_stack=False,
        quota_share=1.0,
        read_quotas=False,
        profile=ABSENT,
        role_arn=ABSENT,
        external_id=ABSENT,
        session_name="byokd",
        connect_timeout=timedelta(seconds=2),
        call_timeout=timedelta(seconds=5),
        max_in_flight=16,
        quotas={operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS},
        reserve=0.2,
    )
    return replace(base, **changes)


def observed(*, valid_to: Any = None, **changes: Any) -> ObservedKey:
    """An enabled key whose one material ends sixty days from the start, or at `valid_to`."""
    expiry = START + 60 * DAY if valid_to is None else valid_to
    gone = expiry is ABSENT
    material = ObservedMaterial(material_id=MATERIAL, state=MaterialState.CURRENT, imported=not gone, expiry=expiry)
    base = ObservedKey(
        at=START,
        arn=ARN,
        state=KeyState.PENDING_IMPORT if gone else KeyState.ENABLED,
        origin="EXTERNAL",
        spec=SYMMETRIC,
        expiry=expiry,
        current_material=MATERIAL,
        materials=(material,),
        usage="ENCRYPT_DECRYPT",
    )
    return replace(base, **changes)


def virgin(**changes: Any) -> ObservedKey:
    """A key that never had material."""
    base = observed(valid_to=ABSENT, current_material=ABSENT, materials=())
    return replace(base, **changes)


def ledger(**changes: Any) -> Ledger:
    """What byokd remembers of a key that it imported thirty days ago."""
    base = Ledger(
        pinned_arn=ARN,
        fingerprint=FINGERPRINT,
        material=MATERIAL,
        last_expiry=START + 60 * DAY,
        last_success_at=START - 30 * DAY,
    )
    return replace(base, **changes)


def snapshot(**changes: Any) -> Snapshot:
    """A healthy key in the middle of its life."""
    base = Snapshot(
        desired=desired(),
        view=observed(),
        proof=Proved(at=START, fingerprint=FINGERPRINT, length=32),
        ledger=ledger(),
    )
    return replace(base, **changes)


def by_period(since: datetime, every: timedelta, **changes: Any) -> dict[str, Any]:
    """What makes a snapshot one of material in stock, for a key whose first one is current since then for a period."""
    older = Fingerprint("aa" * 32)
    first = Track(
        proof=Proved(at=START, fingerprint=older, length=32),
        fingerprint=older,
        material=MATERIAL,
        last_expiry=START + 60 * DAY,
    )
    blank = {"material": ABSENT, "last_expiry": ABSENT, "last_success_at": ABSENT, "fingerprint": ABSENT}
    return {
        "desired": desired(further=("2.key",), policy=policy(rotate_every=every, **changes)),
        "view": observed(begun_at=since),
        "others": (first,),
        "place": 1,
        "ledger": ledger(**blank),
    }


def queued(**changes: Any) -> Import:
    """A row of the queue, waiting for its lane."""
    base = Import(
        id="000000000001",
        ref=KeyRef(ARN),
        lane=LANE_ID,
        material=MATERIAL,
        state=ImportState.QUEUED,
        reason="renewal_due",
        tier=Tier.DUE,
        expiry=START + 90 * DAY,
        deadline=START + 30 * DAY,
        not_before=START,
        attempts=0,
        created_at=START,
    )
    return replace(base, **changes)


def running(*, since: datetime = START, **changes: Any) -> Import:
    """A row whose intent was written at `since` and whose outcome is not known."""
    return queued(state=ImportState.RUNNING, attempts=1, started_at=since, **changes)


def order(kind: OrderKind, **changes: Any) -> Order:
    """An open order by the operator."""
    base = Order(
        id=f"order-{kind.value}",
        ref=KeyRef(ARN),
        kind=kind,
        state=OrderState.OPEN,
        by="operator",
        why="maintenance",
        created_at=START,
    )
    return replace(base, **changes)
