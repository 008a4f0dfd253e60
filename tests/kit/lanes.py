"""Lanes for tests: one account, one Region, short timeouts."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from byokd.facts.key import ABSENT, LaneId
from byokd.facts.policy import Lane, Quota
from byokd.kms.identity import Session, shared_session

ACCOUNT = "111122223333"
REGION = "eu-central-1"


@cache
def session() -> Session:
    """What lanes share, one for all tests of a process: it takes a quarter of a second to read AWS's models."""
    return shared_session()


def lane_in(region: str) -> LaneId:
    """The account's lane in a Region."""
    return LaneId(f"{ACCOUNT}/{region}")


def a_lane(**changes: Any) -> Lane:
    """A lane with generous quotas; any member may be given."""
    members: dict[str, Any] = {
        "id": lane_in(REGION),
        "name": "test",
        "account": ACCOUNT,
        "region": REGION,
        "endpoint": ABSENT,
        "fips": False,
        "dual_stack": False,
        "quota_share": 1.0,
        "read_quotas": False,
        "profile": ABSENT,
        "role_arn": ABSENT,
        "external_id": ABSENT,
        "session_name": "byokd-test",
        "connect_timeout": timedelta(seconds=5),
        "call_timeout": timedelta(seconds=10),
        "max_in_flight": 4,
        "quotas": {
            operation: Quota(per_second=1000.0, burst=1000.0)
            for operation in (
                "DescribeKey",
                "ListKeyRotations",
                "GetParametersForImport",
                "ImportKeyMaterial",
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
        },
        "reserve": 0.2,
    }
    return Lane(**(members | changes))
