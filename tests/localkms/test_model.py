"""Random histories against KMS on paper: operations, steps of the clock and restarts, compared after every one.

The server runs on a loop of its own in a thread, on a state file; the histories are told over HTTP. `make test` tries
the same few hundred histories every time, `make soak` thousands of fresh ones.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from itertools import count
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from byokd.localkms.wrapping import WrappingKeys

from .kit import wrap
from .paper import DAY, HOUR, INCORRECT, NOT_FOUND, Ciphertext, PaperKey, Token
from .service import Service

BYTES: Final = tuple(bytes([number]) * 32 for number in range(4))
"""The materials of these histories, by number: few, so that they meet again."""
LONGEST_ROTATION_S: Final = 600
KEYS = st.runner().flatmap(lambda histories: st.sampled_from(histories.known))
TOKENS = st.runner().flatmap(lambda histories: st.sampled_from(histories.tokens))
NUMBERS = st.integers(0, len(BYTES) - 1)
KINDS = st.sampled_from([None, "NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"])
VALIDITIES = [None, HOUR, 2 * HOUR, DAY, 30 * DAY, 365 * DAY]
MOMENTS = st.sampled_from([*VALIDITIES, -1.0, 365 * DAY + 1])


class Histories(RuleBasedStateMachine):
    """One history. Every rule tells the paper what it asks of the server, and compares what comes back."""

    def __init__(self, state: Path, pool: WrappingKeys) -> None:
        super().__init__()
        self.service = Service(state, pool)
        self.alive: list[PaperKey] = []
        self.dead: list[PaperKey] = []
        self.tokens: list[Token] = []
        self.ids: dict[tuple[str, int], str] = {}

    def teardown(self) -> None:
        self.service.close()

    @property
    def now(self) -> float:
        """What time it is."""
        return self.service.clock.now()

    @property
    def known(self) -> list[PaperKey]:
        """The keys, and the last one that was deleted."""
        return self.alive + self.dead[-1:]

    def ask(self, operation: str, key: PaperKey, right: set[str], **members: Any) -> dict[str, Any] | None:
        """Call an operation on a key; None if it was refused, with a code that is right."""
        expected: set[str | None] = {*(right if key in self.alive else {NOT_FOUND})}
        code, answer = self.service.ask(operation, KeyId=key.arn, **members)
        assert code in (expected or {None}), (operation, key, code, expected)
        return answer if code is None else None

    # -- keys and their states ---------------------------------------------------------------------------------------

    @initialize()
    def first(self) -> None:
        """There is a key, with material and something encrypted."""
        self.create(1)

    @rule(materials=st.integers(0, 2))
    @precondition(lambda self: len(self.alive) < 3)
    def create(self, materials: int) -> None:
        """One more key, after so many rotations and imports."""
        _, answer = self.service.ask("CreateKey", Origin="EXTERNAL")
        key = PaperKey(answer["KeyMetadata"]["Arn"])
        self.alive.append(key)
        for number in range(materials):
            self.put(key, number, "NEW_KEY_MATERIAL", None)
            self.encrypt(key, b"before")
            if number:
                self.rotate(key)

    @rule(key=KEYS, disabled=st.booleans())
    def switch(self, key: PaperKey, disabled: bool) -> None:
        """EnableKey or DisableKey."""
        if self.ask("DisableKey" if disabled else "EnableKey", key, key.switch()) is not None:
            key.disabled = disabled

    @rule(key=KEYS, days=st.sampled_from([7, 30, None]))
    def schedule(self, key: PaperKey, days: int | None) -> None:
        """ScheduleKeyDeletion, or CancelKeyDeletion, which leaves a key disabled."""
        if days is None:
            if self.ask("CancelKeyDeletion", key, key.cancel()) is not None:
                key.deletion_at, key.disabled = None, True
        elif (
            answer := self.ask("ScheduleKeyDeletion", key, key.unless_deleting(), PendingWindowInDays=days)
        ) is not None:
            key.deletion_at = answer["DeletionDate"]
            assert key.deletion_at == pytest.approx(self.now + days * DAY, abs=0.01)

    @rule(key=KEYS)
    def recover(self, key: PaperKey) -> None:
        """What an operator does about a key that does not work: keep it, import all that is missing, enable it."""
        if key.deletion_at is not None:
            self.schedule(key, None)
        for number in [each.number for each in key.materials if not each.present]:
            self.put(key, number, None, 30 * DAY)
        if key.state == "Disabled":
            self.switch(key, disabled=False)

    # -- material ----------------------------------------------------------------------------------------------------

    @rule(key=KEYS)
    def fetch(self, key: PaperKey) -> None:
        """GetParametersForImport, for later."""
        self.tokens.append(self.fetched(key))

    def fetched(self, key: PaperKey) -> Token:
        """GetParametersForImport."""
        wanted = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
        answer = self.ask("GetParametersForImport", key, key.unless_deleting(), **wanted)
        if answer is None:  # no token: whatever is sent in its place is none
            return Token(PaperKey("nobody's"), self.now, b64encode(b"x").decode())
        return Token(key, self.now, answer["ImportToken"], b64decode(answer["PublicKey"]))

    @rule(
        key=KEYS,
        number=NUMBERS,
        kind=KINDS,
        valid_for=MOMENTS,
    )
    def put(self, key: PaperKey, number: int, kind: str | None, valid_for: float | None) -> None:
        """A whole import with a fresh token."""
        token = self.fetched(key)
        if token.key is key:
            self.put_by(token, key, number, kind, valid_for)

    @precondition(lambda self: self.tokens)
    @rule(token=TOKENS)
    def put_late(self, token: Token) -> None:
        """A reimport, right but for the age that its token may have."""
        if token.key in self.alive and token.key.materials:
            self.put_by(token, token.key, token.key.materials[0].number, None, None)

    @precondition(lambda self: self.tokens)
    @rule(
        token=TOKENS,
        key=KEYS,
        number=NUMBERS,
        kind=KINDS,
        valid_for=MOMENTS,
    )
    def put_by(self, token: Token, key: PaperKey, number: int, kind: str | None, valid_for: float | None) -> None:
        """ImportKeyMaterial with any token, old or of another key."""
        valid_to = None if valid_for is None else self.now + valid_for
        blob = wrap(token.public_key, "RSAES_OAEP_SHA_256", BYTES[number]) if token.public_key else b"x"
        answer = self.ask(
            "ImportKeyMaterial",
            key,
            key.take(token, number, kind, valid_to, self.now),
            ImportToken=token.blob,
            EncryptedKeyMaterial=b64encode(blob).decode(),
            ImportType=kind,
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE" if valid_to is None else None,
            ValidTo=valid_to,
        )
        if answer is not None:
            key.taken(number, kind, valid_to)
            assert self.ids.setdefault((key.arn, number), answer["KeyMaterialId"]) == answer["KeyMaterialId"]
            if key.disabled and key.state == "Disabled":  # the documents leave open whether an import enables it
                _, described = self.service.ask("DescribeKey", KeyId=key.arn)
                key.disabled = described["KeyMetadata"]["KeyState"] == "Disabled"

    @rule(key=KEYS, number=st.one_of(st.none(), NUMBERS))
    def delete(self, key: PaperKey, number: int | None) -> None:
        """DeleteImportedKeyMaterial, of one material or of the current one; deleting what is not in has no effect."""
        material = key.role("CURRENT") if number is None else key.find(number)
        identity = None if number is None else self.ids.get((key.arn, number), "0" * 64)
        unknown = {NOT_FOUND, INCORRECT} if number is not None and material is None else set()
        if self.ask("DeleteImportedKeyMaterial", key, unknown, KeyMaterialId=identity) is not None and material:
            key.lose(material)

    @rule(key=KEYS, valid_for=st.sampled_from(VALIDITIES))
    def rotate_to_new(self, key: PaperKey, valid_for: float | None) -> None:
        """New material, if there is any left, and the rotation to it."""
        fresh = [number for number in range(len(BYTES)) if key.find(number) is None]
        if fresh:
            self.put(key, fresh[0], "NEW_KEY_MATERIAL", valid_for)
        self.rotate(key)

    @rule(key=KEYS)
    def rotate(self, key: PaperKey) -> None:
        """RotateKeyOnDemand, then waiting until it is done. Nothing may become due meanwhile."""
        quiet = min(self.deadlines(), default=math.inf) > self.now + LONGEST_ROTATION_S
        if not quiet or self.ask("RotateKeyOnDemand", key, key.rotate()) is None:
            return
        end = self.now + LONGEST_ROTATION_S
        while "OnDemandRotationStartDate" in (self.ask("GetKeyRotationStatus", key, set()) or {}):
            assert self.now < end, "the rotation never ended"
            self.service.advance(1)
        key.rotated()

    # -- use ---------------------------------------------------------------------------------------------------------

    @rule(key=KEYS, plaintext=st.binary(min_size=1, max_size=8))
    def encrypt(self, key: PaperKey, plaintext: bytes) -> None:
        """Encrypt under the current material."""
        answer = self.ask("Encrypt", key, key.use(), Plaintext=b64encode(plaintext).decode())
        current = key.role("CURRENT")
        if answer is not None and current is not None:
            key.ciphertexts.append(Ciphertext(plaintext, current.number, answer["CiphertextBlob"]))

    @rule(key=KEYS)
    def decrypt(self, key: PaperKey) -> None:
        """Decrypt all that is old: each tells the plaintext, and the material that it was made with."""
        for old in key.ciphertexts:
            answer = self.ask("Decrypt", key, key.use(), CiphertextBlob=old.blob)
            if answer is not None:
                assert b64decode(answer["Plaintext"]) == old.plaintext
                assert answer["KeyMaterialId"] == self.ids[key.arn, old.number]

    # -- time and crashes --------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, HOUR - 1, HOUR, DAY, 8 * DAY, 31 * DAY]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.service.advance(seconds)
        self.notice()

    @rule(early=st.booleans())
    def pass_time_to_a_deadline(self, early: bool) -> None:
        """Let time pass to the very moment of the next deadline, or to one second before."""
        if deadlines := self.deadlines():
            self.pass_time(max(min(deadlines) - self.now - (1 if early else 0), 0.0))

    def deadlines(self) -> list[float]:
        """When something will happen by itself."""
        moments = [each.valid_to for key in self.alive for each in key.materials]
        moments += [key.deletion_at for key in self.alive]
        return [moment for moment in moments if moment is not None]

    @rule(meanwhile=st.sampled_from([0.0, HOUR, 31 * DAY]))
    def restart(self, meanwhile: float) -> None:
        """Stop, let time pass, and start again from the state file."""
        self.service.stop()
        self.service.advance(meanwhile)
        self.service.start()
        self.notice()

    def notice(self) -> None:
        """What time did to the keys; when none is left, there is another."""
        gone = [key for key in self.alive if not key.pass_time(self.now)]
        self.alive, self.dead = [key for key in self.alive if key not in gone], self.dead + gone
        if not self.alive:
            self.create(1)

    # -- what must hold after each step ------------------------------------------------------------------------------

    @invariant()
    def the_server_tells_what_the_paper_says(self) -> None:
        """DescribeKey and ListKeyRotations agree with the paper for every key, and ListKeys knows no others."""
        _, listed = self.service.ask("ListKeys")
        assert {each["KeyArn"] for each in listed["Keys"]} == {key.arn for key in self.alive}
        for key in self.alive:
            numbers = {identity: number for (arn, number), identity in self.ids.items() if arn == key.arn}
            _, described = self.service.ask("DescribeKey", KeyId=key.arn)
            metadata = described["KeyMetadata"]
            told = {name: metadata[name] for name in (*key.told(), *OPTIONAL) if name in metadata}
            if "CurrentKeyMaterialId" in told:
                told["CurrentKeyMaterialId"] = numbers[told["CurrentKeyMaterialId"]]
            assert told == key.told()
            _, rotations = self.service.ask("ListKeyRotations", KeyId=key.arn, IncludeKeyMaterial="ALL_KEY_MATERIAL")
            assert [
                (
                    numbers[each["KeyMaterialId"]],
                    each["KeyMaterialState"],
                    each["ImportState"] == "IMPORTED",
                    each.get("ValidTo"),
                )
                for each in rotations["Rotations"]
            ] == [(each.number, each.role, each.present, each.valid_to) for each in key.materials]
        assert len(set(self.ids.values())) == len(self.ids)


OPTIONAL: Final = ("CurrentKeyMaterialId", "ExpirationModel", "ValidTo")


def tell(histories: int, steps: int, directory: Path, pool: WrappingKeys, *, derandomize: bool) -> None:
    """Tell so many histories of so many steps, each on a fresh state."""

    number = count()
    run_state_machine_as_test(
        lambda: Histories(directory / f"{next(number)}.db", pool),  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(400)  # a failure is made smaller before it is told
def test_no_history_tells_the_server_from_the_paper(tmp_path: Path, wrapping_keys: WrappingKeys) -> None:
    """The same few hundred histories as always agree with KMS on paper after every step."""
    tell(100, 30, tmp_path, wrapping_keys, derandomize=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_fresh_history_does_either(tmp_path: Path, wrapping_keys: WrappingKeys) -> None:
    """Thousands of fresh and longer histories agree with KMS on paper after every step."""
    tell(3000, 60, tmp_path, wrapping_keys, derandomize=False)
