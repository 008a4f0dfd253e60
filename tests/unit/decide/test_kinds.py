"""The table of kinds against AWS's documents, written down here once more, and the choice among what it allows."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from byokd.decide.decide import decide
from byokd.decide.orders import after_deciding
from byokd.decide.wrapping import chosen, kind_of_key, wrapping
from byokd.facts.condition import ConditionKind
from byokd.facts.key import SYMMETRIC, WrappingAlgorithm, WrappingKeySpec
from byokd.facts.kinds import AUTO, CHINA, KINDS, PREFERENCE, MaterialKind, Wrapping, kinds_in, ways
from byokd.facts.ledger import OrderKind, OrderState, Proved
from byokd.facts.snapshot import Reason
from tests.kit.builders import FINGERPRINT, desired, observed, order, policy, snapshot
from tests.kit.clock import START

OAEP = (WrappingAlgorithm.OAEP_SHA_1, WrappingAlgorithm.OAEP_SHA_256)
RSA_AES = (WrappingAlgorithm.RSA_AES_SHA_1, WrappingAlgorithm.RSA_AES_SHA_256)
AUTOMATIC = policy(wrapping_algorithm=AUTO, wrapping_key_spec=AUTO)


def documented(spec: str, algorithm: WrappingAlgorithm, key_spec: WrappingKeySpec) -> bool:
    """API model, GetParametersForImport.WrappingAlgorithm, sentence by sentence.

    RSA_AES_*: "Supported for wrapping RSA and ECC key material." "To import an RSA private key, you must use an RSA_AES
    wrapping algorithm." "You cannot use the RSAES_OAEP_SHA_* wrapping algorithm with the RSA_2048 wrapping key spec to
    wrap ECC_NIST_P521 key material." All else is supported.
    """
    if algorithm in RSA_AES:
        return spec.startswith(("RSA_", "ECC_"))
    if spec.startswith("RSA_"):
        return False
    return not (spec == "ECC_NIST_P521" and key_spec is WrappingKeySpec.RSA_2048)


def test_the_page_has_the_whole_table() -> None:
    """docs/kms.md, row by row: what people read is what byokd goes by."""
    page = (Path(__file__).parents[3] / "docs/kms.md").read_text(encoding="utf-8")
    section = page.partition("### Which wrapping each key spec takes")[2].partition("\n## ")[0]
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    assert header == ["key spec", *WrappingAlgorithm]
    told = {
        (spec, algorithm, f"RSA_{length}")
        for spec, *cells in rows
        for algorithm, cell in zip(WrappingAlgorithm, cells, strict=True)
        for length in cell.split(", ")
        if cell != "none"
    }
    assert [row[0] for row in rows] == list(KINDS)
    assert told == {(spec, each.algorithm, each.key_spec) for spec in KINDS for each in ways(KINDS[spec])}


@pytest.mark.parametrize("spec", KINDS)
def test_the_table_is_the_documented_one(spec: str) -> None:
    """Every pair of an algorithm and a wrapping key spec, for every key spec."""
    pairs = [Wrapping(algorithm=one, key_spec=other) for one, other in product(WrappingAlgorithm, WrappingKeySpec)]
    assert set(ways(KINDS[spec])) == {each for each in pairs if documented(spec, each.algorithm, each.key_spec)}
    assert set(PREFERENCE) == set(pairs)


@pytest.mark.parametrize("spec", KINDS)
def test_in_china(spec: str) -> None:
    """No RSA_AES_KEY_WRAP there (guide, step 3), hence no way for RSA keys; symmetric keys have 16 bytes."""
    allowed = ways(kinds_in(CHINA)[spec])
    assert {each.algorithm for each in allowed} == (set() if spec.startswith("RSA_") else set(OAEP))
    assert kinds_in(CHINA)[spec].length == (16 if spec == SYMMETRIC else KINDS[spec].length)


@pytest.mark.parametrize(
    ("spec", "asked", "best"),
    [
        (SYMMETRIC, {}, "RSAES_OAEP_SHA_256 under RSA_4096"),
        ("HMAC_512", {}, "RSAES_OAEP_SHA_256 under RSA_4096"),
        ("ECC_NIST_P521", {}, "RSAES_OAEP_SHA_256 under RSA_4096"),
        ("RSA_2048", {}, "RSA_AES_KEY_WRAP_SHA_256 under RSA_4096"),
        ("RSA_4096", {"wrapping_key_spec": WrappingKeySpec.RSA_3072}, "RSA_AES_KEY_WRAP_SHA_256 under RSA_3072"),
        ("ECC_NIST_P521", {"wrapping_key_spec": WrappingKeySpec.RSA_2048}, "RSA_AES_KEY_WRAP_SHA_256 under RSA_2048"),
        (SYMMETRIC, {"wrapping_algorithm": OAEP[0]}, "RSAES_OAEP_SHA_1 under RSA_4096"),
        ("RSA_2048", {"wrapping_algorithm": RSA_AES[0]}, "RSA_AES_KEY_WRAP_SHA_1 under RSA_4096"),
    ],
)
def test_the_best_way_is_taken(spec: str, asked: dict[str, str], best: str) -> None:
    """What the policy leaves open is filled with the best that AWS takes for the key's spec."""
    wants = policy(**({"wrapping_algorithm": AUTO, "wrapping_key_spec": AUTO} | asked))
    assert str(wrapping(KINDS[spec], wants)) == best
    assert str(chosen(snapshot(view=observed(spec=spec), desired=desired(policy=wants)))) == best


@pytest.mark.parametrize("spec", KINDS)
def test_a_refused_pair_is_told_before_anything_is_asked(spec: str) -> None:
    """Whatever pair a policy fixes, byokd asks for it where AWS takes it, and else says what would do."""
    for pair in PREFERENCE:
        wants = policy(wrapping_algorithm=pair.algorithm, wrapping_key_spec=pair.key_spec)
        decision = decide(snapshot(view=observed(spec=spec), desired=desired(policy=wants)), START)
        refused = decision.reason is Reason.WRAPPING_REFUSED
        assert refused != documented(spec, pair.algorithm, pair.key_spec)
        if refused:
            assert [each.kind for each in decision.conditions] == [ConditionKind.WRAPPING_REFUSED]
            assert f"wants {pair}" in decision.message
            assert "leave it out, or set RSA" in decision.message


def test_rsa_keys_in_china_are_not_renewed() -> None:
    """It is said of the key, and not of a wrapping that could be changed."""
    arn = "arn:aws-cn:kms:cn-north-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
    seen = observed(arn=arn, spec="RSA_2048")
    decision = decide(snapshot(view=seen, desired=desired(policy=AUTOMATIC)), START)
    assert kind_of_key(seen) is None
    assert decision.reason is Reason.UNSUPPORTED_SPEC
    assert decision.message == "key spec RSA_2048 is not renewed by byokd in China Regions"


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "SM2", "SOMETHING_NEW"])
def test_other_specs_are_not_renewed(spec: str) -> None:
    """Specs whose import AWS does not support, or that byokd cannot wrap for, or that AWS adds later."""
    decision = decide(snapshot(view=observed(spec=spec), desired=desired(policy=AUTOMATIC)), START)
    assert decision.reason is Reason.UNSUPPORTED_SPEC
    assert decision.message == f"key spec {spec} is not renewed by byokd"


@pytest.mark.parametrize(
    ("spec", "given", "told"),
    [
        ("ECC_NIST_P384", MaterialKind.ECC_NIST_P256, "gives an ECC_NIST_P256 private key"),
        ("RSA_4096", MaterialKind.RSA_2048, "takes an RSA_4096 private key"),
        ("RSA_2048", MaterialKind.BYTES, "gives 32 bytes; a key of spec RSA_2048 takes an RSA_2048 private key"),
        ("HMAC_256", MaterialKind.ECC_NIST_P256, "a key of spec HMAC_256 takes 32 bytes"),
    ],
)
def test_material_of_another_kind_is_refused(spec: str, given: MaterialKind, told: str) -> None:
    """A wrong curve, a wrong modulus, or bytes for a private key are caught before KMS sees them."""
    proof = Proved(at=START, fingerprint=FINGERPRINT, length=32, kind=given)
    decision = decide(snapshot(desired=desired(policy=AUTOMATIC), proof=proof, view=observed(spec=spec)), START)

    assert decision.reason is Reason.MATERIAL_INVALID
    assert told in decision.message
    assert ConditionKind.MATERIAL_INVALID in [each.kind for each in decision.conditions]


def test_an_order_for_a_key_whose_wrapping_is_refused_is_refused_too() -> None:
    """Whoever ordered the import hears why nothing comes of it."""
    (closed,) = after_deciding((order(OrderKind.IMPORT),), reason=Reason.WRAPPING_REFUSED, message="why", now=START)
    assert (closed.state, closed.outcome) == (OrderState.REFUSED, "why")
