"""What the local KMS can refuse, under the names that AWS sends.

A Refusal is an answer to a client: its fault is the `__type` on the wire and its message is what AWS says, as recorded
where it is known. A StateError is for whoever starts the server. Neither may ever carry key material, nor anything
derived from it but a KeyMaterialId.
"""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """The error codes of the API: those of the service model, then those common to AWS JSON services."""

    ALREADY_EXISTS = "AlreadyExistsException"
    CONFLICT = "ConflictException"
    CUSTOM_KEY_STORE_NOT_FOUND = "CustomKeyStoreNotFoundException"
    DEPENDENCY_TIMEOUT = "DependencyTimeoutException"
    DISABLED = "DisabledException"
    DRY_RUN = "DryRunOperationException"
    EXPIRED_IMPORT_TOKEN = "ExpiredImportTokenException"
    INCORRECT_KEY = "IncorrectKeyException"
    INCORRECT_KEY_MATERIAL = "IncorrectKeyMaterialException"
    INVALID_ALIAS_NAME = "InvalidAliasNameException"
    INVALID_ARN = "InvalidArnException"
    INVALID_CIPHERTEXT = "InvalidCiphertextException"
    INVALID_GRANT_ID = "InvalidGrantIdException"
    INVALID_GRANT_TOKEN = "InvalidGrantTokenException"
    INVALID_IMPORT_TOKEN = "InvalidImportTokenException"
    INVALID_KEY_USAGE = "InvalidKeyUsageException"
    INVALID_MARKER = "InvalidMarkerException"
    INVALID_STATE = "KMSInvalidStateException"
    KMS_INVALID_MAC = "KMSInvalidMacException"
    KMS_INVALID_SIGNATURE = "KMSInvalidSignatureException"
    LIMIT_EXCEEDED = "LimitExceededException"
    MALFORMED_POLICY = "MalformedPolicyDocumentException"
    NOT_FOUND = "NotFoundException"
    TAG = "TagException"
    UNSUPPORTED_OPERATION = "UnsupportedOperationException"

    ACCESS_DENIED = "AccessDeniedException"
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    INTERNAL = "KMSInternalException"
    INTERNAL_FAILURE = "InternalFailure"
    INVALID_SIGNATURE = "InvalidSignatureException"
    MISSING_AUTHENTICATION_TOKEN = "MissingAuthenticationTokenException"
    REQUEST_TIMEOUT = "RequestTimeoutException"
    REQUEST_TOO_LARGE = "RequestEntityTooLargeException"
    SERIALIZATION = "SerializationException"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    THROTTLING = "ThrottlingException"
    UNKNOWN_OPERATION = "UnknownOperationException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    VALIDATION = "ValidationException"

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code: 400 for everything a caller can cause within the protocol."""
        match self:
            case Fault.INTERNAL | Fault.INTERNAL_FAILURE:
                return 500
            case Fault.DEPENDENCY_TIMEOUT | Fault.SERVICE_UNAVAILABLE:
                return 503
            case Fault.REQUEST_TIMEOUT:
                return 408
            case Fault.REQUEST_TOO_LARGE:
                return 413
            case _:
                return 400


class Refusal(Exception):
    """A request is refused: the fault is told to the client, with the message."""

    def __init__(self, fault: Fault, message: str = "") -> None:
        super().__init__(fault, message)
        self.fault = fault
        self.message = message


class StateError(Exception):
    """The state file cannot be used. The message names the file, the reason, and what to do."""
