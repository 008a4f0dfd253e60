"""Which operation a key admits in which state: the key-state table, whole, in one place.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html and, for the operations younger than its
table, the API reference. Messages are AWS's own. Where the documents allow two answers or none the choice is:

- Cryptographic use of a key that is pending deletion: KMSInvalidStateException, as was recorded (the table also allows
  DisabledException).
- GetPublicKey of a Disabled key: admitted, as was seen of the service (the table says DisabledException).
- ImportKeyMaterial into a Disabled key: admitted, as the table says (the API text names PendingImport and Enabled
  only).
- A key that is Creating can be managed, but not used, imported into, rotated or replicated; one that is Updating can be
  used, but not enabled, disabled, imported into, rotated, replicated or scheduled for deletion.
- UpdatePrimaryRegion: both keys must be Enabled.

A key that is Updating must also be admitted in the state that it will have afterwards: it can be used only if it has
its material. PendingReplicaDeletion has the guide's column of PendingDeletion. No key here is ever Unavailable, which
is for custom key stores; its column stands for the day when they are on offer.

An operation that has no row here admits every state. This file must not know what any operation does.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, KeyState, Origin
from byokd.localkms.specs import SPECS

Answer = tuple[Fault, str] | None

OK: Final[Answer] = None
DISABLED: Final[Answer] = (Fault.DISABLED, "{arn} is disabled.")
IMPORT: Final[Answer] = (Fault.INVALID_STATE, "{arn} is pending import.")
DELETION: Final[Answer] = (Fault.INVALID_STATE, "{arn} is pending deletion.")
NOT_DELETION: Final[Answer] = (Fault.INVALID_STATE, "{arn} is not pending deletion.")
UNAVAILABLE: Final[Answer] = (Fault.INVALID_STATE, "{arn} is unavailable.")
CREATING: Final[Answer] = (Fault.INVALID_STATE, "{arn} is creating.")
UPDATING: Final[Answer] = (Fault.INVALID_STATE, "{arn} is updating.")

CRYPTOGRAPHY: Final = (
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "Sign",
    "Verify",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
)
"""The operations that use a key's material; ReEncrypt asks for both its keys. They share one row."""

COLUMNS: Final = (
    KeyState.ENABLED,
    KeyState.DISABLED,
    KeyState.PENDING_IMPORT,
    KeyState.PENDING_DELETION,
    KeyState.UNAVAILABLE,
    KeyState.CREATING,
    KeyState.UPDATING,
)

Row = tuple[Answer, Answer, Answer, Answer, Answer, Answer, Answer]

# fmt: off
#                    Enabled Disabled  PendingImport PendingDeletion Unavailable  Creating  Updating
USE:    Final[Row] = (OK,    DISABLED, IMPORT,       DELETION,       UNAVAILABLE, CREATING, OK)
SHOW:   Final[Row] = (OK,    OK,       IMPORT,       DELETION,       UNAVAILABLE, CREATING, OK)
LABEL:  Final[Row] = (OK,    OK,       OK,           DELETION,       OK,          OK,       OK)
SWITCH: Final[Row] = (OK,    OK,       IMPORT,       DELETION,       OK,          CREATING, UPDATING)
CHANGE: Final[Row] = (OK,    DISABLED, IMPORT,       DELETION,       UNAVAILABLE, CREATING, UPDATING)
BRING:  Final[Row] = (OK,    OK,       OK,           DELETION,       UNAVAILABLE, CREATING, UPDATING)
LOSE:   Final[Row] = (OK,    OK,       OK,           OK,             UNAVAILABLE, CREATING, UPDATING)
END:    Final[Row] = (OK,    OK,       OK,           DELETION,       OK,          OK,       UPDATING)
SPARE:  Final[Row] = (NOT_DELETION, NOT_DELETION, NOT_DELETION, OK, NOT_DELETION, NOT_DELETION, NOT_DELETION)
# fmt: on

ROWS: Final[dict[str, Row]] = {
    **dict.fromkeys(CRYPTOGRAPHY, USE),
    "GetPublicKey": SHOW,
    "CreateGrant": USE,
    "EnableKey": SWITCH,
    "DisableKey": SWITCH,
    "EnableKeyRotation": CHANGE,
    "DisableKeyRotation": CHANGE,
    "RotateKeyOnDemand": CHANGE,
    "ReplicateKey": CHANGE,
    "UpdatePrimaryRegion": CHANGE,
    "GetParametersForImport": BRING,
    "ImportKeyMaterial": BRING,
    "DeleteImportedKeyMaterial": LOSE,
    "ScheduleKeyDeletion": END,
    "CancelKeyDeletion": SPARE,
    "TagResource": LABEL,
    "UntagResource": LABEL,
    "CreateAlias": LABEL,
    "UpdateAlias": LABEL,
    "UpdateKeyDescription": LABEL,
}

TABLE: Final = {operation: dict(zip(COLUMNS, row, strict=True)) for operation, row in ROWS.items()}
for _row in TABLE.values():
    _row[KeyState.PENDING_REPLICA_DELETION] = _row[KeyState.PENDING_DELETION]

ORIGINS: Final = {
    "GetParametersForImport": Origin.EXTERNAL,
    "ImportKeyMaterial": Origin.EXTERNAL,
    "DeleteImportedKeyMaterial": Origin.EXTERNAL,
    "EnableKeyRotation": Origin.AWS_KMS,
    "DisableKeyRotation": Origin.AWS_KMS,
}
"""Operations for keys of one origin; they refuse any other, whatever its state."""

ROTATING: Final = frozenset({"EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus", "RotateKeyOnDemand"})
"""Operations for keys that rotate, which are those for symmetric encryption; they refuse others, whatever the state."""


def admit(operation: str, key: Key) -> None:
    """Let an operation on a key pass.

    Raises: Refusal with UnsupportedOperationException for the wrong kind of key or origin, or with what the table says
    for the key's state.
    """
    if operation in ROTATING and not SPECS[key.spec].rotates:
        raise Refusal(Fault.UNSUPPORTED_OPERATION)  # recorded without a message
    if ORIGINS.get(operation, key.origin) is not key.origin:
        message = f"{key.arn} origin is {key.origin} which is not valid for this operation."
        raise Refusal(Fault.UNSUPPORTED_OPERATION, message)
    row = TABLE.get(operation)
    if row is None:
        return
    answer = row[key.state]
    if answer is None and key.state is KeyState.UPDATING:
        answer = row[key.settled_state]
    if answer is not None:
        fault, message = answer
        raise Refusal(fault, message.format(arn=key.arn))
