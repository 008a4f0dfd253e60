"""Every error byokd raises, on one page, named by who is at fault.

Theory of operation: a foreign exception (botocore, aiohttp, SQLAlchemy, OSError) is mapped to one of these at the
adapter that met it, with the cause kept, and nowhere else. Each class says two things that the rest of byokd acts on
without looking at the type again: `remedy`, what byokd itself does next, and `step`, what a person does next.

An error's text may reach logs, the database and a pager. It must never hold key material, a token, or the output of a
command that produced material.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Remedy(StrEnum):
    """What byokd does about an error by itself."""

    FRESH_TOKEN = "fresh_token"
    """Fetch new import parameters and try again soon."""
    LOOK_AGAIN = "look_again"
    """The outcome is unknown: look at the key before anything else."""
    LATER = "later"
    """Try the same again after a backoff."""
    REFUSE = "refuse"
    """Trying again cannot help: tell a person, and wait for the world to change."""


class ByokdError(Exception):
    """The root of the tree; `str()` is one sentence that a person can act on."""

    code: ClassVar[str] = "internal"
    remedy: ClassVar[Remedy] = Remedy.LATER
    step: str = "Report this with the log around it: it is a defect in byokd."
    """Of the whole class; a refused order has one of its own."""


def step_for(code: str) -> str:
    """What a person does next about an error of which only the code is on record; empty for an unknown code."""
    rest: list[type[ByokdError]] = [ByokdError]
    while rest:
        error = rest.pop()
        if error.code == code:
            return error.step
        rest += error.__subclasses__()
    return ""


# -- the operator: what was written or ordered ------------------------------------------------------------------------


class OperatorError(ByokdError):
    """Somebody asked for something that cannot be."""

    code = "operator"
    remedy = Remedy.REFUSE
    step = "Correct what was asked for."


class ConfigError(OperatorError):
    """The configuration has problems; `problems` holds all of them, each with file and line."""

    code = "config_invalid"
    step = "Correct the places named; `byokd config check` shows them again."

    def __init__(self, problems: tuple[object, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class ManifestInvalid(OperatorError):
    """Rows of a manifest cannot be made into keys; `problems` holds all that is wrong, each with file and line."""

    code = "manifest_invalid"
    step = "Nothing was made. Correct the rows named, or leave them out with --only-valid."

    def __init__(self, problems: tuple[object, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class OrderRefused(OperatorError):
    """An order names a key that byokd does not know, or asks for what the key's state forbids."""

    code = "order_refused"
    step = "`byokd show` tells the state of the key, `byokd orders --all` that of its orders."

    def __init__(self, message: str, step: str = step) -> None:
        """`step` is what to do about this refusal."""
        self.step = step
        super().__init__(message)


class DaemonUnreachable(OperatorError):
    """The command needs the running daemon, and its socket does not answer."""

    code = "daemon_unreachable"
    step = "Start the daemon (`systemctl start byokd`), or check `daemon.socket` in the config."


# -- the source: where material comes from ----------------------------------------------------------------------------


class SourceError(ByokdError):
    """The source of material did not do its part."""

    code = "source"
    step = "Repair the source; `byokd show KEY` names it."


class SourceUnreadable(SourceError):
    """The material is not there, may not be read, or the command that makes it failed or took too long."""

    code = "source_unreadable"
    step = "Make the material readable for the byokd user again, as the message says."


class SourceUnsafe(SourceError):
    """Others than byokd could read the material, so byokd refuses to (as ssh does with a private key)."""

    code = "source_unsafe"
    remedy = Remedy.REFUSE
    step = "chmod 600 the file (or take the group's and others' bits away); treat the material as seen by others."


class MaterialInvalid(SourceError):
    """The source answered, but not with material that fits the key: wrong length, encoding, form or curve."""

    code = "material_invalid"
    remedy = Remedy.REFUSE
    step = "Give the source the key's own material in the form that its spec takes (docs/howto/kinds-of-keys.md)."


class MaterialChanged(SourceError):
    """The source produces other material than was imported before. Refused before any call to AWS."""

    code = "material_changed"
    remedy = Remedy.REFUSE
    step = "Restore the original material: KMS accepts only that, and data under the key needs it."


# -- AWS KMS and the account ------------------------------------------------------------------------------------------


class KmsError(ByokdError):
    """A call to KMS did not succeed."""

    code = "kms"
    step = "See the message of KMS."


class Throttled(KmsError):
    """KMS says the request quota is used up (ThrottlingException). The lane slows down; no attempt is counted."""

    code = "throttled"
    step = "Nothing, if it passes. Otherwise find who else uses the quota, or ask AWS to raise it."


class KmsUnreachable(KmsError):
    """No connection, or none in time: the request was not answered and did not change anything."""

    code = "kms_unreachable"
    step = "Check network, DNS, VPC endpoint and proxy between this host and KMS, and the lane's region."


class CredentialsUnreachable(KmsUnreachable):
    """Nobody answered on the way to credentials, which is STS where a role is assumed; KMS was not asked."""

    code = "credentials_unreachable"
    step = "Check network, DNS, proxy and `sts_endpoint` between this host and STS, or what else gives the credentials."


class AnswerLost(KmsError):
    """A request that changes KMS was sent and no answer was understood: it may have been applied."""

    code = "answer_lost"
    remedy = Remedy.LOOK_AGAIN
    step = "Nothing: byokd looks at the key and finds out."


class KmsInternal(KmsError):
    """KMS answered 5xx (KMSInternalException, DependencyTimeoutException, ServiceUnavailable)."""

    code = "kms_internal"
    step = "See the AWS Health Dashboard, if it lasts."


class BadAnswer(KmsError):
    """What answered does not speak KMS: no JSON, or members missing."""

    code = "bad_answer"
    step = "Check the lane's endpoint: a proxy or another service may be answering."


class CredentialsInvalid(KmsError):
    """No credentials were found, or KMS does not accept them (expired, unknown, wrong signature)."""

    code = "credentials_invalid"
    step = (
        "Check the lane's role, profile and the host's clock. As the user byokd, `aws sts get-caller-identity` tells "
        "who it begins as, and `aws sts assume-role` tries the role (docs/runbook.md)."
    )


class AccessDenied(KmsError):
    """The IAM or key policy does not allow the call."""

    code = "access_denied"
    step = "Allow the four actions of the README's policy to byokd's role, in IAM and in the key policy."


class KeyNotFound(KmsError):
    """KMS knows no such key. Shortly after CreateKey this can be false (eventual consistency)."""

    code = "key_not_found"
    step = "Check the ARN or alias, the account and the Region; if the key was deleted, take it out of the config."


class WrongKeyState(KmsError):
    """The key's state does not allow the call (KMSInvalidStateException, DisabledException, ConflictException)."""

    code = "wrong_key_state"
    step = "See the key's state with `byokd show KEY`."


class WrongOrigin(KmsError):
    """The key does not take imported material (UnsupportedOperationException; Origin is not EXTERNAL)."""

    code = "wrong_origin"
    remedy = Remedy.REFUSE
    step = "Take the key out of the config: only keys with Origin EXTERNAL have material to renew."


class TokenRefused(KmsError):
    """The import token was not accepted (InvalidImportTokenException, ExpiredImportTokenException)."""

    code = "token_refused"
    remedy = Remedy.FRESH_TOKEN
    step = "Nothing, if it passes."


class CiphertextRefused(KmsError):
    """KMS could not unwrap what was sent (InvalidCiphertextException)."""

    code = "ciphertext_refused"
    remedy = Remedy.FRESH_TOKEN
    step = "If it lasts, try another wrapping algorithm and report it."


class CheckRefused(KmsError):
    """KMS says that a signature or a MAC is not what the key makes of the message."""

    code = "check_refused"
    step = "See the probe's condition: the key does not do what it is for."


class MaterialRefused(KmsError):
    """KMS says this is not the material that was imported before (IncorrectKeyMaterialException)."""

    code = "material_refused"
    remedy = Remedy.REFUSE
    step = "Find the original material: no other can ever be imported into this key."


class MaterialDiffers(KmsError):
    """KMS took the import and calls the material by another KeyMaterialId than the one on record."""

    code = "material_differs"
    remedy = Remedy.REFUSE
    step = "Find out what was imported into the key: KMS computes the id of key and material (docs/runbook.md)."


class ProbeFailed(KmsError):
    """The key was used after an import, and what it made did not check out."""

    code = "probe_failed"
    step = "Stop using the key until you know why: `byokd show KEY`, and try it by hand (docs/runbook.md)."


class RequestRefused(KmsError):
    """KMS rejected the request as such (ValidationException, InvalidArn, limits, an unknown code)."""

    code = "request_refused"
    remedy = Remedy.REFUSE
    step = "See the message of KMS; check the key's policy settings in the config."


class AlreadyExists(RequestRefused):
    """What was to be made is there already (AlreadyExistsException): an alias that names some key."""

    code = "already_exists"
    step = "Choose another alias, or see whose it is with `byokd find`."


# -- the store --------------------------------------------------------------------------------------------------------


class StoreError(ByokdError):
    """The state database did not do its part."""

    code = "store"
    step = "See the message; the database file is named there."


class StoreBusy(StoreError):
    """Another process holds the database: a second daemon, or a tool with it open."""

    code = "store_busy"
    step = "Stop the other process; one daemon owns a store."


class StoreFull(StoreError):
    """The disk is full or the quota used up. Nothing was written, and no import starts without its intent on disk."""

    code = "store_full"
    step = "Free space on the file system of the state directory."


class StoreCorrupt(StoreError):
    """The file is not a database, or a damaged one."""

    code = "store_corrupt"
    remedy = Remedy.REFUSE
    step = "Move the file away and start again: byokd finds the truth in KMS. Holds and history are in the backup."


class StoreTooNew(StoreError):
    """A later version of byokd wrote this database."""

    code = "store_too_new"
    remedy = Remedy.REFUSE
    step = "Run that version, or restore the backup made before the upgrade."


class LeaseLost(StoreError):
    """Another node owns the lane now: what this node was about to write is not written."""

    code = "lease_lost"
    step = "Nothing: the other node goes on."


# -- alerts -----------------------------------------------------------------------------------------------------------


class ChannelError(ByokdError):
    """A notice could not be delivered; it stays in the outbox."""

    code = "channel"
    step = "Check the alert channel's settings and its receiver."
