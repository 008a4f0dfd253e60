"""KMS on paper: the rules of imported material once more, as tiny as they can be, to hold the server against.

Written from docs/kms.md and AWS's pages, never from byokd/localkms: a mistake must be made twice to go unnoticed. It
knows symmetric keys of Origin EXTERNAL. What a call may do is told as the set of error codes that would be right; the
documents seldom say which of two broken rules is told first, so any of them is. An empty set: the call must succeed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
ROTATIONS_MAX: Final = 25

STATE, DISABLED = "KMSInvalidStateException", "DisabledException"
INCORRECT, INVALID_TOKEN, OLD_TOKEN = (
    "IncorrectKeyMaterialException",
    "InvalidImportTokenException",
    "ExpiredImportTokenException",
)
NOT_FOUND, VALIDATION, LIMIT = "NotFoundException", "ValidationException", "LimitExceededException"


@dataclass
class Material:
    """One material of a key: its bytes by number, what the key does with it, and whether it is in."""

    number: int
    role: str
    present: bool = True
    valid_to: float | None = None

    @property
    def permanent(self) -> bool:
        """Whether the key depends on it."""
        return self.role != "PENDING_ROTATION"


@dataclass
class Token:
    """A set of import parameters."""

    key: PaperKey
    fetched_at: float
    blob: str = ""
    public_key: bytes = b""


@dataclass
class Ciphertext:
    """Something encrypted."""

    plaintext: bytes
    number: int
    blob: str = ""


@dataclass(eq=False)
class PaperKey:
    """One key."""

    arn: str
    disabled: bool = False
    deletion_at: float | None = None
    rotations: int = 0
    materials: list[Material] = field(default_factory=list)
    ciphertexts: list[Ciphertext] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Every permanently associated material must be in, or the whole key is PendingImport."""
        permanent = [each for each in self.materials if each.permanent]
        if self.deletion_at is not None:
            return "PendingDeletion"
        if not permanent or not all(each.present for each in permanent):
            return "PendingImport"
        return "Disabled" if self.disabled else "Enabled"

    def find(self, number: int) -> Material | None:
        """The material with those bytes."""
        return next((each for each in self.materials if each.number == number), None)

    def role(self, role: str) -> Material | None:
        """The material in that role."""
        return next((each for each in self.materials if each.role == role), None)

    def told(self) -> dict[str, Any]:
        """What DescribeKey tells; CurrentKeyMaterialId is the number of the bytes."""
        present = [each for each in self.materials if each.permanent and each.present]
        expiring = [each.valid_to for each in present if each.valid_to is not None]
        current = self.role("CURRENT")
        told: dict[str, Any] = {"KeyState": self.state, "Enabled": self.state == "Enabled"}
        if current is not None:
            told["CurrentKeyMaterialId"] = current.number
        if present:
            told["ExpirationModel"] = "KEY_MATERIAL_EXPIRES" if expiring else "KEY_MATERIAL_DOES_NOT_EXPIRE"
        if expiring:
            told["ValidTo"] = min(expiring)
        return told

    # -- what may be asked -------------------------------------------------------------------------------------------

    def use(self) -> set[str]:
        """A cryptographic operation or a rotation."""
        match self.state:
            case "Enabled":
                return set()
            case "Disabled":
                return {DISABLED}
            case "PendingDeletion":
                return {DISABLED, STATE}
            case _:
                return {STATE}

    def switch(self) -> set[str]:
        """EnableKey or DisableKey."""
        return set() if self.state in {"Enabled", "Disabled"} else {STATE}

    def unless_deleting(self) -> set[str]:
        """GetParametersForImport, ScheduleKeyDeletion."""
        return {STATE} if self.deletion_at is not None else set()

    def cancel(self) -> set[str]:
        """CancelKeyDeletion."""
        return {STATE} if self.deletion_at is None else set()

    def rotate(self) -> set[str]:
        """RotateKeyOnDemand."""
        wrong = self.use()
        if self.role("PENDING_ROTATION") is None:
            wrong.add(STATE)
        if self.rotations >= ROTATIONS_MAX:
            wrong.add(LIMIT)
        return wrong

    def take(self, token: Token, number: int, kind: str | None, valid_to: float | None, now: float) -> set[str]:
        """ImportKeyMaterial; `valid_to` None is for ever."""
        wrong = self.unless_deleting()
        if token.key is not self:
            wrong.add(INVALID_TOKEN)
        if now >= token.fetched_at + DAY:
            wrong.add(OLD_TOKEN)
        if valid_to is not None and not now < valid_to <= now + 365 * DAY:
            wrong.add(VALIDATION)
        known = self.find(number) is not None
        if self._new(kind):
            if known:
                wrong.add(INCORRECT)
            if self.role("PENDING_ROTATION") is not None:
                wrong.add(STATE)
        elif not known:
            wrong.add(INCORRECT)
        return wrong

    def _new(self, kind: str | None) -> bool:
        return kind == "NEW_KEY_MATERIAL" or (kind is None and not self.materials)

    # -- what it does ------------------------------------------------------------------------------------------------

    def taken(self, number: int, kind: str | None, valid_to: float | None) -> None:
        """After a successful import."""
        if self._new(kind):
            role = "PENDING_ROTATION" if self.materials else "CURRENT"
            self.materials.append(Material(number, role, valid_to=valid_to))
        else:
            material = self.find(number)
            assert material is not None
            material.present, material.valid_to = True, valid_to

    def lose(self, material: Material) -> None:
        """A deletion or an expiry."""
        if not material.permanent:
            self.materials.remove(material)
        else:
            material.present, material.valid_to = False, None

    def rotated(self) -> None:
        """After a rotation has finished."""
        pending, current = self.role("PENDING_ROTATION"), self.role("CURRENT")
        assert pending is not None
        assert current is not None
        pending.role, current.role = "CURRENT", "NON_CURRENT"
        self.rotations += 1

    def pass_time(self, now: float) -> bool:
        """Let happen what is due; whether the key is still there."""
        for material in list(self.materials):
            if material.valid_to is not None and material.valid_to <= now:
                self.lose(material)
        return self.deletion_at is None or self.deletion_at > now
