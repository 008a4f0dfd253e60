"""Whose credentials a lane uses, as an aiobotocore session.

Each lane has a session of its own, because profile and role are properties of a session. All of them share what makes a
session expensive: the loader of AWS's API models (50 ms of parsing), and the SDK's own event handlers, of which each
takes a copy (1 ms, against 9 ms for registering them).

A lane without a profile uses the SDK's standard chain: environment, shared files, container, instance role. With a
role, those credentials only serve to assume it. `renewal` says what becomes of credentials that end.
"""

from __future__ import annotations

import os
import re
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioCredentials, AioDeferredRefreshableCredentials
from aiobotocore.hooks import AioHierarchicalEmitter
from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader, create_loader

from byokd.facts.key import Absent
from byokd.facts.policy import Lane
from byokd.kms.chain import unattended
from byokd.kms.renewal import renewed
from byokd.ports import Clock

FIPS_REGIONS: Final = {
    ("sts", False): re.compile(r"us-(gov-)?(east|west)-\d"),
    ("sts", True): re.compile(r"(us-(east|west)|ca-(central|west))-\d"),
    ("service-quotas", False): re.compile(r"us-gov-.*"),
}
"""Where the services that a lane needs beside KMS have FIPS endpoints, by whether those are dual-stack; KMS has them
nearly everywhere (AWS General Reference, "AWS STS endpoints and quotas", "Service Quotas endpoints and quotas"; IAM
User Guide, "Dual-stack endpoint support", which names none for GovCloud, where the SDK makes one up)."""
IPV4_ALONE: Final = frozenset({"service-quotas"})
"""Services of which AWS names no dual-stack endpoint in any Region (the same page of the General Reference)."""


@dataclass(frozen=True, slots=True)
class Session:
    """What all lanes share. It has no lane's credentials and makes no calls."""

    models: Any
    """The SDK's loader."""
    handlers: AioHierarchicalEmitter
    """The SDK's own, as they are before any lane adds to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What stands in for AWS's own ways to credentials: for an embedded local KMS, for tests."""

    access_key_id: str = ""
    """With a secret, used in place of the standard chain; empty: the chain."""
    secret_access_key: str = field(default="", repr=False)
    transport: type | None = None
    """Carries requests in place of aiobotocore's HTTP session, in process; None: they go over the network."""


def shared_session() -> Session:
    """What the lanes of one process share."""
    handlers = AioHierarchicalEmitter()
    AioSession(event_hooks=handlers)  # fills them
    return Session(sdk_models(), handlers)


def sdk_models() -> Loader:
    """What the SDK knows of AWS's services, read by a loader that needs no AWS files.

    A session's own fails where they are broken: that is the trouble of a lane that opens, and no reason not to start.
    """
    return create_loader(os.environ.get("AWS_DATA_PATH"))


def lane_session(lane: Lane, *, clock: Clock, shared: Session, config: AioConfig, identity: Identity) -> AioSession:
    """A fresh session, which reads profile and credentials anew. `config` is used for calls to STS.

    Raises: botocore's errors on a profile that is missing or broken.
    """
    session = AioSession(
        profile=None if isinstance(lane.profile, Absent) else lane.profile,
        event_hooks=copy(shared.handlers),
        include_builtin_handlers=False,
    )
    session.register_component("data_loader", shared.models)
    credentials = _LaneCredentials(session, lane, clock, config, identity)
    session.register_component("credential_provider", credentials)
    return session


def beside(lane: Lane, service: str, config: AioConfig) -> dict[str, Any]:
    """How the lane's session makes a client of a service beside KMS: at the lane's endpoint of it, or at AWS's own.

    That is of the kinds asked for, as far as AWS names such in the Region; else the SDK makes up a host that does not
    exist. Together with an endpoint that is given, the SDK takes no kinds.
    """
    endpoint = lane.sts_endpoint if service == "sts" else lane.quotas_endpoint
    own = isinstance(endpoint, Absent)
    dual_stack = own and lane.dual_stack and service not in IPV4_ALONE
    regions = FIPS_REGIONS.get((service, dual_stack))
    fips = own and lane.fips and regions is not None and regions.fullmatch(lane.region) is not None
    return {
        "region_name": lane.region,
        "endpoint_url": None if own else endpoint,
        "config": config.merge(AioConfig(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)),
    }


class _LaneCredentials:
    """The session's credential provider: the standard chain or given keys, and the lane's role on top of them."""

    def __init__(self, session: AioSession, lane: Lane, clock: Clock, config: AioConfig, identity: Identity) -> None:
        self._session = session
        self._lane = lane
        self._renewed = partial(renewed, lane=lane, clock=clock)
        self._config = config
        self._identity = identity
        self._chain = unattended(session.get_component("credential_provider"))

    async def load_credentials(self) -> Any:
        """Credentials that renew themselves.

        Raises: NoCredentialsError. The SDK would carry on without any, and never look for them again.
        """
        found = self._renewed(await self._own())
        if found is None:
            raise NoCredentialsError
        if isinstance(self._lane.role_arn, Absent):
            return found
        terms = {"RoleSessionName": self._lane.session_name}
        if not isinstance(self._lane.external_id, Absent):
            terms["ExternalId"] = self._lane.external_id
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=partial(self._session.create_client, **beside(self._lane, "sts", self._config)),
            source_credentials=found,
            role_arn=self._lane.role_arn,
            extra_args=terms,
        )
        return self._renewed(AioDeferredRefreshableCredentials(fetcher.fetch_credentials, method="assume-role"))

    async def _own(self) -> Any:
        if self._identity.access_key_id:
            return AioCredentials(self._identity.access_key_id, self._identity.secret_access_key)
        return await self._chain.load_credentials()
