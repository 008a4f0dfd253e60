"""Lanes share what they trust, and nothing that is their own."""

from __future__ import annotations

import os
from pathlib import Path

import certifi
import pytest

from byokd.kms.client import lane_config
from byokd.kms.transport import SharedTrust
from tests.kit.builders import lane


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    """Certificate authorities in a file of the test's own."""
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(certifi.where()).read_bytes())
    return str(path)


def contexts(**settings: object) -> tuple[object, object]:
    """What a new client would verify with, for its endpoint and for a proxy."""
    return SharedTrust(**settings)._build_ssl_contexts(None)


def test_lanes_verify_with_one_context(bundle: str) -> None:
    """A thousand lanes read the certificate authorities once."""
    assert lane_config(lane()).http_session_cls is SharedTrust
    assert contexts(verify=bundle) == contexts(verify=bundle)
    context, proxy = contexts(verify=True)
    assert (context, proxy) == contexts(verify=True)
    assert proxy is None
    assert context.check_hostname  # type: ignore[attr-defined]  # a TLS context


def test_what_is_not_verified_is_not_shared_with_what_is(bundle: str) -> None:
    """Each bundle has its context, and a client that verifies nothing one of its own."""
    one, other, blind = (contexts(verify=verify)[0] for verify in (bundle, True, False))
    assert len({one, other, blind}) == 3


def test_an_exchanged_bundle_counts_for_new_clients(bundle: str) -> None:
    """A daemon runs for years, and authorities come and go."""
    before = contexts(verify=bundle)
    os.utime(bundle, ns=(1, 1))
    assert contexts(verify=bundle) != before


def test_a_context_that_is_changed_later_is_not_shared(bundle: str) -> None:
    """A proxy's certificates are loaded into a context after it was made."""
    session = SharedTrust(verify=bundle)
    context, for_proxy = session._build_ssl_contexts("http://127.0.0.1:3128")
    assert len({context, for_proxy, contexts(verify=bundle)[0]}) == 3
