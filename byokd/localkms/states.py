"""Which operation a key admits in which state: the key-state table, whole, in one place.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html and, for the operations younger than its
table, the API reference. Messages are AWS's own. Where the documents allow two answers the choice is:

- Cryptographic use of a key that is pending deletion: KMSInvalidStateException (the table also allows
  DisabledException).
- GetPublicKey of a Disabled key: admitted, as was seen of the service (the table says DisabledException).
- ImportKeyMaterial into a Disabled key: admitted, as the table says (the API text names PendingImport and Enabled
  only).

An operation that has no row here admits every state. This file must not know what any operation does.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, KeyState, Origin

Answer = tuple[Fault, str] | None

OK: Final[Answer] = None
DISABLED: Final[Answer] = (Fault.DISABLED, "{arn} is disabled.")
IMPORT: Final[Answer] = (Fault.INVALID_STATE, "{arn} is pending import.")
DELETION: Final[Answer] = (Fault.INVALID_STATE, "{arn} is pending deletion.")
NOT_DELETION: Final[Answer] = (Fault.INVALID_STATE, "{arn} is not pending deletion.")

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

COLUMNS: Final = (KeyState.ENABLED, KeyState.DISABLED, KeyState.PENDING_IMPORT, KeyState.PENDING_DELETION)

ROWS: Final[dict[str, tuple[Answer, Answer, Answer, Answer]]] = {
    #                             Enabled       Disabled      PendingImport  PendingDeletion
    **dict.fromkeys(CRYPTOGRAPHY, (OK,           DISABLED,     IMPORT,        DELETION)),
    "GetPublicKey":              (OK,           OK,           IMPORT,        DELETION),
    "RotateKeyOnDemand":         (OK,           DISABLED,     IMPORT,        DELETION),
    "EnableKey":                 (OK,           OK,           IMPORT,        DELETION),
    "DisableKey":                (OK,           OK,           IMPORT,        DELETION),
    "GetParametersForImport":    (OK,           OK,           OK,            DELETION),
    "ImportKeyMaterial":         (OK,           OK,           OK,            DELETION),
    "DeleteImportedKeyMaterial": (OK,           OK,           OK,            OK),
    "ScheduleKeyDeletion":       (OK,           OK,           OK,            DELETION),
    "CancelKeyDeletion":         (NOT_DELETION, NOT_DELETION, NOT_DELETION,  OK),
    "TagResource":               (OK,           OK,           OK,            DELETION),
    "UntagResource":             (OK,           OK,           OK,            DELETION),
    "CreateAlias":               (OK,           OK,           OK,            DELETION),
    "UpdateAlias":               (OK,           OK,           OK,            DELETION),
}  # fmt: skip

TABLE: Final = {operation: dict(zip(COLUMNS, row, strict=True)) for operation, row in ROWS.items()}

EXTERNAL_ONLY: Final = frozenset({"GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial"})
"""Operations for imported material; they refuse a key of any other origin, whatever its state."""


def admit(operation: str, key: Key) -> None:
    """Let an operation on a key pass.

    Raises: Refusal with UnsupportedOperationException for the wrong origin, or with what the table says for the key's
    state.
    """
    if operation in EXTERNAL_ONLY and key.origin is not Origin.EXTERNAL:
        message = f"{key.arn} origin is {key.origin} which is not valid for this operation."
        raise Refusal(Fault.UNSUPPORTED_OPERATION, message)
    row = TABLE.get(operation)
    answer = row[key.state] if row else OK
    if answer is not None:
        fault, message = answer
        raise Refusal(fault, message.format(arn=key.arn))
