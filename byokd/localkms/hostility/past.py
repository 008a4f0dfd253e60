"""Eventual consistency: what a reader sees who is behind.

KMS spreads a change through a Region; until it has arrived everywhere, a reader may be shown what was before:
NotFoundException for a key that exists, the old state, the old `ValidTo`
(https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html). So every version of a
key that is replaced is kept here for as long as somebody may be behind::

    change      v0 ─▶ v1            v1 ─▶ v2
    ───────────────┼───────────────────┼──────────────────────────────▶ server's clock
    behind:     v0 │◀───── v0 ──── lag_s ▶│◀─ v1 ─▶│ v2
    others:     v0 │        v1         │  v2

Nobody is ever further behind than `lag_s`. Changes and cryptography never come here: they see the present.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key

READS: Final = frozenset(
    {
        "DescribeKey",
        "GetKeyPolicy",
        "GetKeyRotationStatus",
        "GetParametersForImport",
        "GetPublicKey",
        "ListKeyRotations",
        "ListResourceTags",
    }
)
"""The operations that may be behind: they look at one key and change nothing. GetParametersForImport is one, and the
guide's own example of a false NotFoundException."""


@dataclass(frozen=True, slots=True)
class _Version:
    """What a key was, up to the moment of a change."""

    key: Key | None
    """None: it did not exist."""
    until: float
    """Epoch seconds of the server's clock."""


class Past:
    """The versions that were replaced within the last `lag_s` seconds."""

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s
        self._versions: dict[str, deque[_Version]] = {}
        self._order: deque[tuple[float, str]] = deque()

    def note(self, before: Key | None, arn: str, now: float) -> None:
        """A key has changed; `before` None: it has come into being."""
        self._forget(now)
        if self._lag_s:
            self._versions.setdefault(arn, deque()).append(_Version(before, now))
            self._order.append((now, arn))

    def of(self, arn: str, now: float) -> _Version | None:
        """The oldest version that may still be seen at `now`. None: only the present can."""
        return next((each for each in self._versions.get(arn, ()) if self._seen(each.until, now)), None)

    def seen_from(self, keyring: Keyring, now: float, seen: Callable[[], None]) -> Callable[[str], Key | None]:
        """`Keyring.key` for a reader who is behind at `now`; `seen` is called where it is shown another."""

        def key(arn: str) -> Key | None:
            version = self.of(arn, now)
            if version is None:
                return keyring.key(arn)
            seen()
            return version.key

        return key

    def clear(self) -> None:
        """Forget everything, as after a restore of the state: nobody is behind then."""
        self._versions.clear()
        self._order.clear()

    def _seen(self, until: float, now: float) -> bool:
        return 0 <= now - until < self._lag_s  # below 0: the clock was set back, and nobody can know what that means

    def _forget(self, now: float) -> None:
        while self._order and not self._seen(self._order[0][0], now):
            _, arn = self._order.popleft()
            versions = self._versions[arn]
            versions.popleft()
            if not versions:
                del self._versions[arn]
