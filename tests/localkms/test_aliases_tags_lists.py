"""Aliases, tags and the paging of every listing."""

from __future__ import annotations

from .kit import Kms
from .rules import rule


@rule("Names, aliases and tags", "guide alias-about")
async def test_an_alias_names_a_key_where_aws_lets_it(kms: Kms) -> None:
    """An alias name or ARN works in DescribeKey and in cryptographic operations."""
    key = await kms.create_key(Origin="AWS_KMS")
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    for name in ("alias/a", f"{key.rpartition(':')[0]}:alias/a"):
        assert (await kms.describe(name))["Arn"] == key
        blob = (await kms.call("encrypt", KeyId=name, Plaintext=b"x"))["CiphertextBlob"]
        assert (await kms.call("decrypt", KeyId=name, CiphertextBlob=blob))["Plaintext"] == b"x"


@rule("Names, aliases and tags", "API UpdateAlias, DeleteAlias")
async def test_an_alias_moves_and_goes(kms: Kms) -> None:
    """UpdateAlias points a name elsewhere, DeleteAlias forgets it, and neither touches a key."""
    one, two = await kms.create_key(), await kms.create_key()
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=one)
    kms.clock.advance(5)
    await kms.call("update_alias", AliasName="alias/a", TargetKeyId=two)
    assert (await kms.describe("alias/a"))["Arn"] == two
    (alias,) = (await kms.call("list_aliases", KeyId=two))["Aliases"]
    assert alias["AliasArn"] == f"{one.rpartition(':')[0]}:alias/a"
    assert alias["TargetKeyId"] == two.rpartition("/")[2]
    assert (alias["LastUpdatedDate"] - alias["CreationDate"]).total_seconds() == 5
    assert (await kms.call("list_aliases", KeyId=one))["Aliases"] == []
    await kms.call("delete_alias", AliasName="alias/a")
    assert (await kms.refused("describe_key", KeyId="alias/a")).code == "NotFoundException"


@rule("Names, aliases and tags", "API CreateAlias")
async def test_alias_names_are_checked_and_unique(kms: Kms) -> None:
    """A name exists once per account and Region, is not empty, and is not one of AWS's own."""
    key = await kms.create_key()
    await kms.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    codes = {
        name: (await kms.refused("create_alias", AliasName=name, TargetKeyId=key)).code
        for name in ("alias/a", "alias/", "alias/aws/mine")
    }
    assert codes == {
        "alias/a": "AlreadyExistsException",
        "alias/": "InvalidAliasNameException",
        "alias/aws/mine": "InvalidAliasNameException",
    }
    for operation, members in (("delete_alias", {}), ("update_alias", {"TargetKeyId": key})):
        refused = await kms.refused(operation, AliasName="alias/unknown", **members)
        arn = f"{key.rpartition(':')[0]}:alias/unknown"
        assert (refused.code, refused.message) == ("NotFoundException", f"Alias {arn} is not found.")


@rule("Names, aliases and tags", "API TagResource, UntagResource")
async def test_tags_are_added_changed_and_removed(kms: Kms) -> None:
    """TagResource adds and overwrites, UntagResource removes and passes over what is not there."""
    key = await kms.create_key(Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}])
    await kms.call("tag_resource", KeyId=key, Tags=[{"TagKey": "a", "TagValue": "2"}, {"TagKey": "c", "TagValue": "3"}])
    await kms.call("untag_resource", KeyId=key, TagKeys=["b", "unknown"])
    tags = (await kms.call("list_resource_tags", KeyId=key))["Tags"]
    assert {tag["TagKey"]: tag["TagValue"] for tag in tags} == {"a": "2", "c": "3"}


@rule("Requests", "API ListKeys, ListAliases")
async def test_listings_come_in_pages(kms: Kms) -> None:
    """Limit and Marker walk each listing exactly once, also when rows vanish between two pages."""
    keys = {await kms.create_key() for _ in range(5)}
    await kms.call("tag_resource", KeyId=min(keys), Tags=[{"TagKey": f"t{n}", "TagValue": ""} for n in range(5)])
    for number, key in enumerate(keys):
        await kms.call("create_alias", AliasName=f"alias/{number}", TargetKeyId=key)
    for operation, rows, members in (
        ("list_keys", "Keys", {}),
        ("list_aliases", "Aliases", {}),
        ("list_resource_tags", "Tags", {"KeyId": min(keys)}),
    ):
        first = await kms.call(operation, Limit=2, **members)
        assert first["Truncated"]
        second = await kms.call(operation, Limit=2, Marker=first["NextMarker"], **members)
        last = await kms.call(operation, Limit=2, Marker=second["NextMarker"], **members)
        assert (last["Truncated"], "NextMarker" in last) == (False, False)
        seen = [str(row) for page in (first, second, last) for row in page[rows]]
        assert len(seen) == len(set(seen)) == 5
        assert (await kms.refused(operation, Marker="???", **members)).code == "InvalidMarkerException"
    first = await kms.call("list_aliases", Limit=2)
    await kms.call("delete_alias", AliasName="alias/1")
    rest = await kms.call("list_aliases", Marker=first["NextMarker"])
    assert [alias["AliasName"] for alias in rest["Aliases"]] == ["alias/2", "alias/3", "alias/4"]


@rule("Encryption", "API GenerateDataKey")
async def test_a_data_key_comes_plain_and_encrypted(kms: Kms) -> None:
    """GenerateDataKey's ciphertext decrypts to its plaintext, of the length asked for."""
    key = await kms.create_key()
    material_id = await kms.import_material(key)
    for members, length in (({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 7}, 7)):
        answer = await kms.call("generate_data_key", KeyId=key, **members)
        assert (len(answer["Plaintext"]), answer["KeyMaterialId"]) == (length, material_id)
        opened = await kms.call("decrypt", CiphertextBlob=answer["CiphertextBlob"])
        assert opened["Plaintext"] == answer["Plaintext"]
    assert (await kms.refused("generate_data_key", KeyId=key)).code == "ValidationException"
