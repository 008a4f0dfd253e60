"""Manifests: every wrong row is told with its line, and the others stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd.config.manifest import TAGS_MAX, read_manifest
from byokd.config.problems import Problems
from byokd.facts.estate import NewKey
from byokd.facts.uses import KeyUsage

POLICY = '{"Version": "2012-10-17", "Statement": []}'


class Manifest:
    """A manifest in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.csv"
        self.problems = Problems()

    def read(self, text: str) -> list[NewKey]:
        """The keys of its sound rows."""
        self.file.write_text(text, encoding="utf-8")
        return [row.key for row in read_manifest(self.file, self.problems)]

    @property
    def told(self) -> list[str]:
        """The problems, without the file."""
        return [str(problem).removeprefix(f"{self.file}:") for problem in self.problems.by_place()]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(tmp_path)


def test_an_alias_is_enough(manifest: Manifest):
    """Everything else has a default."""
    assert manifest.read("alias\nalias/a\n\nalias/b\n") == [NewKey(alias="alias/a"), NewKey(alias="alias/b")]
    assert manifest.told == []


def test_replicas_make_a_key_multi_region(manifest: Manifest):
    """Whose own cell may say so or nothing, but not the contrary."""
    keys = manifest.read("alias,replicas,multi_region\nalias/a,us | ie,\nalias/b,us,true\nalias/c,us,false\n")
    assert [(key.replicas, key.multi_region) for key in keys] == [(("us", "ie"), True), (("us",), True)]
    assert manifest.told == [
        "4: replicas: only a multi-Region key has replicas (leave multi_region empty, or write true)"
    ]


def test_all_that_a_row_may_say(manifest: Manifest):
    """Quoted cells, a policy in a file beside it, a column for each tag; an empty cell is no tag."""
    (manifest.file.parent / "p.json").write_text(POLICY)
    header = "alias,spec,description,multi_region,policy,material,tag:team,tag:cost center"
    keys = manifest.read(f'{header}\r\nalias/a,HMAC_256,"Cards, old",true,p.json,x/a.key,pay,\r\n')
    assert keys == [
        NewKey(
            alias="alias/a",
            spec="HMAC_256",
            usage=KeyUsage.GENERATE_VERIFY_MAC,
            description="Cards, old",
            multi_region=True,
            policy=POLICY,
            material="x/a.key",
            tags={"team": "pay"},
        )
    ]


def test_thousands_of_rows_with_a_few_wrong_ones(manifest: Manifest):
    """All that is wrong is told at once, each with its line, and nothing else is lost."""
    rows = [f"alias/k{number}," for number in range(5000)]
    rows[10], rows[2000], rows[4999] = "k10,", "alias/k7,", "alias/k4999,AES"
    keys = manifest.read("\n".join(["alias,spec", *rows]))
    assert len(keys) == 4997
    assert [told.partition(" (")[0] for told in manifest.told] == [
        '12: alias: "k10" is not a key\'s name',
        '2002: alias: "alias/k7" stands in line 9 already',
        '5001: spec: "AES" is no spec that byokd makes keys of',
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("alias/aws/x", "names a key that AWS manages"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "is not an alias"),
        ("alias/a,x", "has 2 cells, the header 7"),
        ("alias/a,,,yes,,,", "is neither true nor false"),
        ("alias/a,,,,nowhere.json,,", "No such file"),
        ("alias/a,,,,text.json,,", "is not JSON"),
        ("alias/a,,,,list.json,,", "is not a key policy"),
        ("alias/a,,,,big.json,,", "is larger than 32768 bytes"),
        (f"alias/a,,{'x' * 8193},,,,", "is too long"),
        ("alias/a,,,,,,b%d", "cannot be a tag's value"),
        (f"alias/a,,,,,{'x' * 2000},", "cannot locate material"),
    ],
)
def test_a_wrong_row_is_told(manifest: Manifest, row: str, told: str):
    """What KMS would refuse, and what byokd could not keep alive, before a key is made."""
    for name, text in {"text": "{", "list": "[]", "big": f'{{"Statement": "{"x" * 40_000}"}}'}.items():
        (manifest.file.parent / f"{name}.json").write_text(text)
    cells = row if "," in row else f"{row},,,,,,"
    assert manifest.read(f"alias,spec,description,multi_region,policy,material,tag:t\n{cells}\n") == []
    assert told in manifest.told[0]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("key,spec", "has no column named alias"),
        ("alias,multi-region", "did you mean multi_region?"),
        ("alias,alias", "stands there more than once"),
        ("alias,tag:", "cannot be a tag"),
        ("alias,tag:aws:x", "cannot be a tag"),
        ("alias,tag:byokd:created-as", "cannot be a tag"),
        ("alias", "has no rows"),
        ('alias,"', "is not CSV"),
    ],
)
def test_a_wrong_header_is_told(manifest: Manifest, header: str, told: str):
    """No row is judged by columns that are not understood."""
    assert manifest.read(f"{header}\n") == []
    assert told in manifest.told[0]


def test_what_is_no_csv_has_no_rows(manifest: Manifest):
    """Neither those before the mistake: whoever leaves wrong rows out would miss all that follow it."""
    assert manifest.read('alias,description\nalias/a,fine\nalias/b,"a "quoted" word"\nalias/c,fine\n') == []
    assert manifest.told == ["3: is not CSV: ',' expected after '\"' (see RFC 4180)"]


def test_more_tags_than_kms_takes_are_told(manifest: Manifest):
    """Of a row, whatever columns there are for others: an empty cell is no tag."""
    columns = range(TAGS_MAX + 1)
    header = ",".join(["alias", *(f"tag:{number}" for number in columns)])
    assert len(manifest.read(f"{header}\nalias/a,{','.join('x' for _ in columns)}\nalias/b{',' * len(columns)}\n")) == 1
    assert manifest.told == ["2: tag:: more than 49 tags (KMS takes 50, one of which is byokd's)"]


@pytest.mark.parametrize(
    ("spec", "usage", "told"),
    [
        ("", "", "ENCRYPT_DECRYPT"),
        ("HMAC_512", "", "GENERATE_VERIFY_MAC"),
        ("RSA_2048", "ENCRYPT_DECRYPT", "ENCRYPT_DECRYPT"),
        ("RSA_4096", "SIGN_VERIFY", "SIGN_VERIFY"),
        ("ECC_NIST_P384", "KEY_AGREEMENT", "KEY_AGREEMENT"),
        ("ECC_SECG_P256K1", "", "SIGN_VERIFY"),
        ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "SIGN_VERIFY"),
        ("RSA_3072", "", "is empty, and a key has one for life (write ENCRYPT_DECRYPT or SIGN_VERIFY)"),
        ("ECC_NIST_P256", "", "is empty, and a key has one for life (write SIGN_VERIFY or KEY_AGREEMENT)"),
        ("ECC_SECG_P256K1", "KEY_AGREEMENT", "is no use of a key of spec ECC_SECG_P256K1 (write SIGN_VERIFY)"),
        ("", "SIGN_VERIFY", "is no use of a key of spec SYMMETRIC_DEFAULT (write ENCRYPT_DECRYPT)"),
        ("HMAC_256", "sign_verify", "is no use of a key of spec HMAC_256 (write GENERATE_VERIFY_MAC)"),
        ("ML_DSA_44", "SIGN_VERIFY", "is no spec that byokd makes keys of"),
    ],
)
def test_what_a_key_is_for(manifest: Manifest, spec: str, usage: str, told: str):
    """It must be said where a spec leaves a choice, and may be left out where it leaves none."""
    keys = manifest.read(f"alias,spec,usage\nalias/a,{spec},{usage}\n")
    assert told in ([key.usage.value for key in keys] + manifest.told)[0]


def test_the_same_in_toml(manifest: Manifest):
    """A table for each key; the file's name says that it is TOML."""
    (manifest.file.parent / "p.json").write_text(POLICY)
    header = "alias,spec,usage,description,replicas,policy,material,tag:team"
    row = 'alias/a,RSA_2048,SIGN_VERIFY,"Cards, old",us|ie,p.json,x/a.pem,pay'
    wanted = manifest.read(f"{header}\n{row}\nalias/b,,,,,,,\n")
    manifest.file = manifest.file.with_suffix(".toml")
    assert wanted == manifest.read(
        """
        [[keys]]
        alias = "alias/a"
        spec = "RSA_2048"
        usage = "SIGN_VERIFY"
        description = "Cards, old"
        replicas = ["us", "ie"]
        policy = "p.json"
        material = "x/a.pem"
        tags = { team = "pay" }

        [[keys]]
        alias = "alias/b"
        """
    )
    assert manifest.told == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[keys]]\nalias = 'alias/a'\nspek = 'HMAC_256'", "1: spek: unknown setting (did you mean spec?)"),
        ("\n[[keys]]\nspec = 'HMAC_256'", "2: alias: is missing (it names the key)"),
        ("[[keys]]\nalias = 'alias/a'\nmulti_region = 'yes'", '1: multi_region: "yes" is of another type'),
        ("[[keys]]\nalias = 'alias/a'\nreplicas = 'us'", '1: replicas: "us" is of another type'),
        ("[[keys]]\nalias = 7", '1: alias: "7" is of another type (write text in quotes)'),
        ("[[keys]]\nalias = 'alias/a'\ntags = { team = 7 }", "1: tags: is no table of text"),
        ("[[keys]]\nalias = 'alias/a'\ntags = { 'aws:x' = '' }", "1: tag:aws:x: cannot be a tag"),
        ("[[keys]]\nalias = 'alias/a'\n[[keys]]\nalias = 'alias/a'", "stands in line 1 already"),
        ("[keys]\nalias = 'alias/a'", "keys: is not a list of keys"),
        ("[fleets.a]", "1: fleets: unknown table"),
        ("[[keys]", "1: is not TOML"),
        (f"a = {'[' * 5000}{']' * 5000}", "is nested too deeply"),
        ("", "has no rows"),
    ],
)
def test_wrong_toml_is_told(manifest: Manifest, text: str, told: str):
    """With the line of the key's table."""
    manifest.file = manifest.file.with_suffix(".toml")
    manifest.read(text)
    assert told in manifest.told[0]


def test_a_manifest_that_is_not_there_is_told(manifest: Manifest):
    """In one sentence."""
    assert read_manifest(manifest.file, manifest.problems) == []
    assert "cannot be read: No such file" in manifest.told[0]
