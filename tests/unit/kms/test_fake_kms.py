"""The switches of `FakeKms`: what the simulated world can do to byokd. Its rules are in the contract suite."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from byokd.errors import AnswerLost, KeyNotFound, KmsInternal, Throttled
from byokd.facts.key import ABSENT, NEVER, KeyArn, KeyState, WrappingAlgorithm, WrappingKeySpec
from tests.kit.clock import ManualClock
from tests.kit.fake_kms import FakeKms
from tests.kit.fake_source import FakeSource

ARN = KeyArn("arn:aws:kms:eu-central-1:111122223333:key/1")
OAEP = WrappingAlgorithm.OAEP_SHA_256


@pytest.fixture
def kms() -> FakeKms:
    """A world with one virgin key."""
    world = FakeKms(ManualClock())
    world.create(ARN)
    return world


async def bring_in(kms: FakeKms) -> None:
    """A first import, without end."""
    parameters = await kms.get_parameters(ARN, algorithm=OAEP, spec=WrappingKeySpec.RSA_4096)
    source = FakeSource({"key": bytes(32)})
    sealed = await source.seal("key", public_key=parameters.public_key, algorithm=OAEP)
    await kms.import_material(ARN, token=parameters.token, ciphertext=sealed.ciphertext, expiry=NEVER, material=ABSENT)


async def test_failures_in_order(kms: FakeKms) -> None:
    """Failures are raised once each, in the order given, before anything is done."""
    kms.fail("DescribeKey", Throttled("one"), KmsInternal("two"))
    with pytest.raises(Throttled):
        await kms.describe(ARN)
    with pytest.raises(KmsInternal):
        await kms.describe(ARN)
    assert (await kms.describe(ARN)).state is KeyState.PENDING_IMPORT
    assert kms.count("DescribeKey") == 3


async def test_lost_answer(kms: FakeKms) -> None:
    """An import whose answer is lost has been applied."""
    kms.fail("ImportKeyMaterial", AnswerLost("gone"), applied=True)
    with pytest.raises(AnswerLost):
        await bring_in(kms)
    assert kms.state(ARN) is KeyState.ENABLED


async def test_lost_request(kms: FakeKms) -> None:
    """An import whose request is lost has not been applied, and raises the same."""
    kms.fail("ImportKeyMaterial", AnswerLost("gone"))
    with pytest.raises(AnswerLost):
        await bring_in(kms)
    assert kms.state(ARN) is KeyState.PENDING_IMPORT


async def test_lag(kms: FakeKms) -> None:
    """Lagging readings are of before the last change, and only so many."""
    await bring_in(kms)
    kms.lag(ARN, reads=2)
    assert (await kms.describe(ARN)).state is KeyState.PENDING_IMPORT
    assert await kms.list_materials(ARN) == ()
    assert (await kms.describe(ARN)).state is KeyState.ENABLED


async def test_gate(kms: FakeKms) -> None:
    """A gated call waits, before it does anything, until its gate is opened."""
    gate = kms.gate("DescribeKey")
    call = asyncio.create_task(kms.describe(ARN))
    await asyncio.sleep(0)
    assert kms.count("DescribeKey") == 1
    assert not call.done()
    gate.set()
    assert (await call).arn == ARN


async def test_people(kms: FakeKms) -> None:
    """Keys change behind byokd's back, and are gone for good in the end."""
    await bring_in(kms)
    kms.delete_material(ARN)
    assert kms.state(ARN) is KeyState.PENDING_IMPORT
    kms.put(ARN, deletion_at=ManualClock().now() + timedelta(days=7))
    assert kms.state(ARN) is KeyState.PENDING_DELETION
    kms.remove(ARN)
    with pytest.raises(KeyNotFound):
        await kms.describe(ARN)
