"""Every kind of lane that cannot be, and the sentence a person gets for it."""

from __future__ import annotations

import pytest

from .conftest import LANE

ONE_PROBLEM = {
    "a role of another account": (
        f'{LANE}role_arn = "arn:aws:iam::999999999999:role/byokd"\n',
        "byokd.toml:4: lanes.eu.role_arn: is a role of another account than 111122223333 (a lane works in one account)",
    ),
    "an external id for nobody": (
        f'{LANE}external_id = "x1"\n',
        "byokd.toml:4: lanes.eu.external_id: is only used with a role (add role_arn, or remove external_id)",
    ),
    "a role of another partition": (
        f'{LANE}role_arn = "arn:aws-cn:iam::111122223333:role/byokd"\n',
        "byokd.toml:4: lanes.eu.role_arn: is in partition aws-cn, and eu-central-1 in aws (arn:aws:iam::...)",
    ),
    "a VPC endpoint of another Region": (
        f'{LANE}endpoint = "https://vpce-0a1b-c2d3.kms.us-east-1.vpce.amazonaws.com"\n',
        "byokd.toml:4: lanes.eu.endpoint: is in us-east-1, and the lane in eu-central-1 (a lane works in one Region)",
    ),
    **{
        f"an endpoint of {service} in another Region": (
            f'{LANE}role_arn = "arn:aws:iam::111122223333:role/byokd"\n'
            f'{setting} = "https://vpce-0a1b-c2d3.{service}.us-east-1.vpce.amazonaws.com"\n',
            f"byokd.toml:5: lanes.eu.{setting}: is in us-east-1, and the lane in eu-central-1 (a lane works in one "
            "Region)",
        )
        for setting, service in {"sts_endpoint": "sts", "quotas_endpoint": "servicequotas"}.items()
    },
    "an endpoint of STS for nobody": (
        f'{LANE}sts_endpoint = "https://sts.example"\n',
        "byokd.toml:4: lanes.eu.sts_endpoint: is only used with a role (add role_arn, or remove sts_endpoint)",
    ),
    "a local KMS for Service Quotas": (
        f'{LANE}quotas_endpoint = "local"\n',
        "byokd.toml:4: lanes.eu.quotas_endpoint: is not an endpoint (https://HOST[:PORT], or http:// for a service of "
        "your own)",
    ),
    "an endpoint with a space": (
        f'{LANE}endpoint = " https://kms.example"\n',
        "byokd.toml:4: lanes.eu.endpoint: is not an endpoint (https://HOST[:PORT], http:// for a KMS of your own, or "
        "local)",
    ),
    "a kind of endpoint that AWS does not have there": (
        '[lanes.taipei]\naccount = "111122223333"\nregion = "ap-east-2"\nfips = true\n',
        "byokd.toml:4: lanes.taipei.fips: AWS names no such endpoint of KMS in ap-east-2 (remove fips, or write an "
        "endpoint in its place if AWS has one by now)",
    ),
    "a share that is a number": (
        f"{LANE}reserve = 0.2\n",
        'byokd.toml:4: lanes.eu.reserve: shares are written as text (write "20%" or a fraction such as "1/3", in '
        "quotes)",
    ),
    "a share that is a number and too large": (
        f"{LANE}quota_share = 1.5\n",
        "byokd.toml:4: lanes.eu.quota_share: 1.5 is out of bounds (from 1% to below 100%, in quotes)",
    ),
    "a switch in quotes": (
        f'{LANE}read_quotas = "yes"\n',
        "byokd.toml:4: lanes.eu.read_quotas: must be true or false (without quotes)",
    ),
    "an empty name of a profile": (
        f'{LANE}profile = ""\n',
        "byokd.toml:4: lanes.eu.profile: must have at least 1 character (Profile of the AWS configuration files to "
        "take credentials from)",
    ),
    "a ceiling below the pace": (
        f"{LANE}[lanes.eu.quotas]\nGetParametersForImport = {{ per_second = 1, ceiling = 0.5 }}\n",
        "byokd.toml:5: lanes.eu.quotas.GetParametersForImport.ceiling: 0.5 is below per_second, 1 (raise ceiling, "
        "remove it, or lower per_second)",
    ),
    **{
        f"a pace of {pace}": (
            f"{LANE}[lanes.eu.quotas]\nGetParametersForImport = {{ per_second = {pace} }}\n",
            f"byokd.toml:5: lanes.eu.quotas.GetParametersForImport.per_second: must be {what} (Requests a second that "
            "byokd allows itself: from 0.001 to 10000)",
        )
        for pace, what in {
            "0": "greater than or equal to 0.001",
            "-1": "greater than or equal to 0.001",
            "nan": "a finite number",
            "inf": "a finite number",
            "1e400": "a finite number",
            '"fast"': "a valid number",
            "true": "a valid number",
        }.items()
    },
    "a share of the quota that leaves nothing": (
        f'{LANE}quota_share = "0%"\n',
        "byokd.toml:4: lanes.eu.quota_share: 0% is out of bounds (from 1% to below 100%)",
    ),
    "a quota of no operation": (
        f"{LANE}[lanes.eu.quotas]\nGetParametersForImports = {{ per_second = 1 }}\n",
        "byokd.toml:5: lanes.eu.quotas.GetParametersForImports: unknown setting (did you mean GetParametersForImport?)",
    ),
}


@pytest.mark.parametrize(("text", "told"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_a_bad_lane_is_told_in_one_sentence(folder, text, told):
    """One mistake makes one problem, with its line and the way out."""
    assert folder.told(text) == [told]
