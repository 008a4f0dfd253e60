"""Which wrapping a key's next import uses: what the policy fixes, filled up with the best that AWS takes for the key.

policy             key spec         comes to
auto, auto         RSA_2048         RSA_AES_KEY_WRAP_SHA_256 under RSA_4096
auto, RSA_2048     ECC_NIST_P521    RSA_AES_KEY_WRAP_SHA_256 under RSA_2048
RSAES_OAEP_*, …    RSA_2048         nothing: AWS would refuse it, so nothing is asked of AWS
"""

from __future__ import annotations

from functools import lru_cache

from byokd.facts.key import ObservedKey, last_seen
from byokd.facts.kinds import AUTO, AlgorithmWanted, KeyKind, KeySpecWanted, Wrapping, kinds_in, ways
from byokd.facts.policy import Policy
from byokd.facts.snapshot import Snapshot


def kind_of_key(seen: ObservedKey) -> KeyKind | None:
    """The row of the key's spec in its partition; None for a key that byokd cannot bring material into."""
    return importable(seen.spec, seen.arn.split(":", 2)[1])


@lru_cache(maxsize=256)
def importable(spec: str, partition: str) -> KeyKind | None:
    """The row of a key spec in a partition; None for one whose keys byokd cannot bring material into there."""
    found = kinds_in(partition).get(spec)
    return found if found is not None and ways(found) else None


def wrapping(kind: KeyKind, policy: Policy) -> Wrapping | None:
    """The best way that the policy leaves; None where AWS refuses all of those."""
    return _best(kind, policy.wrapping_algorithm, policy.wrapping_key_spec)


@lru_cache(maxsize=256)  # asked at every decision, of few combinations
def _best(kind: KeyKind, algorithm: AlgorithmWanted, key_spec: KeySpecWanted) -> Wrapping | None:
    for way in ways(kind):
        if algorithm in (AUTO, way.algorithm) and key_spec in (AUTO, way.key_spec):
            return way
    return None


def chosen(snapshot: Snapshot) -> Wrapping:
    """The wrapping for an import that was decided on; the rules let none through that has none."""
    seen = last_seen(snapshot.view)
    kind = kind_of_key(seen) if isinstance(seen, ObservedKey) else None
    way = None if kind is None else wrapping(kind, snapshot.desired.policy)
    assert way is not None  # by `rules.unsupported_spec` and `rules.wrapping_refused`
    return way


def refusal(spec: str, kind: KeyKind, policy: Policy) -> str:
    """Why there is no wrapping for a key of this spec, and the way out."""
    asked = " under ".join(each for each in (policy.wrapping_algorithm, policy.wrapping_key_spec) if each is not AUTO)
    best = ways(kind)[0]
    return (
        f"the policy wants {asked}, which AWS does not take for a key of spec {spec}; "
        f"leave it out, or set {best.algorithm} and {best.key_spec}"
    )
