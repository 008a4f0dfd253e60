"""Names of keys: ARN, id, alias, and the lanes they belong to."""

from __future__ import annotations

import pytest

from byokd.config.names import parse_name, partition
from byokd.config.problems import Unfit
from byokd.config.schema import LaneSettings
from byokd.facts.key import ABSENT

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
MRK = "mrk-1234abcd12ab34cd56ef1234567890ab"
LANE = LaneSettings(account="111122223333", region="eu-central-1").lane("eu")
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{ID}"


@pytest.mark.parametrize("name", [ARN, ID])
def test_arn_and_id_of_one_key_are_one_ref(name):
    """Whether named by ARN or by id and lane, a key is the same key."""
    assert parse_name(name).in_lane(LANE) == (ARN, ARN)


def test_an_alias_is_a_ref_of_its_own():
    """What an alias stands for is not known before KMS is asked."""
    assert parse_name("alias/payments").in_lane(LANE) == ("111122223333/eu-central-1/alias/payments", ABSENT)


def test_a_multi_region_id_is_an_id():
    """Multi-Region keys have ids of their own shape."""
    assert parse_name(MRK).in_lane(LANE)[1] == f"arn:aws:kms:eu-central-1:111122223333:key/{MRK}"


PARTITIONS = {"eu-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso"}


@pytest.mark.parametrize(("region", "name"), PARTITIONS.items(), ids=PARTITIONS)
def test_the_region_tells_the_partition(region, name):
    """ARNs in China and GovCloud spell their partition differently."""
    assert partition(region) == name


REFUSED = {
    "a bare word": ("payments", "alias/payments"),
    "an id in capitals": (ID.upper(), "in lower case"),
    "an alias of AWS": ("alias/aws/s3", "only keys of your own"),
    "an alias with a space": ("alias/a b", "letters, digits"),
    "an alias without a name": ("alias/", "letters, digits"),
    "the ARN of an alias": ("arn:aws:kms:eu-central-1:111122223333:alias/payments", 'key = "alias/payments"'),
    "the ARN of something else": ("arn:aws:s3:::bucket", "arn:aws:kms:"),
    "an ARN without account": (f"arn:aws:kms:eu-central-1::key/{ID}", "arn:aws:kms:"),
    "an ARN with a broken id": ("arn:aws:kms:eu-central-1:111122223333:key/1", "arn:aws:kms:"),
    "an ARN of the wrong partition": (f"arn:aws:kms:cn-north-1:111122223333:key/{ID}", "second part"),
    "nothing": ("", "write an ARN"),
}


@pytest.mark.parametrize(("name", "hint"), REFUSED.values(), ids=REFUSED)
def test_other_names_are_refused_with_a_way_out(name, hint):
    """Each refusal says how the key should be named instead."""
    with pytest.raises(Unfit) as caught:
        parse_name(name)
    assert hint in caught.value.hint
