"""Import tokens: what GetParametersForImport promises, sealed and handed to the client. The server keeps no table.

A token says for which key it is, under which wrapping key and algorithm the material will come, and until when. It is
valid for 24 hours and, as no document says otherwise, for any number of imports in that time; a failed import does not
use it up. Since the wrapping keys are kept with the state, so is every token's meaning over a restart.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key
from byokd.localkms.seal import BrokenSealError, Seal
from byokd.localkms.wrapping import WrappingAlgorithm

LIFETIME_S: Final = 24 * 3600
"""How long a token lives (API reference of GetParametersForImport)."""
PURPOSE: Final = "import token"


class ImportToken(NamedTuple):
    """The content of a token."""

    key_arn: str
    wrapping_key: str
    algorithm: WrappingAlgorithm
    expires_at: float
    """Epoch seconds; the token is dead from then on."""


def sealed(token: ImportToken, seal: Seal) -> bytes:
    """The token as clients carry it."""
    content = f"{token.key_arn}\n{token.wrapping_key}\n{token.algorithm.value}\n{token.expires_at!r}"
    return seal.close(PURPOSE, content.encode())


def opened(blob: bytes, seal: Seal, *, key: Key, now: float) -> ImportToken:
    """The token that a client brings to import into `key` at `now` (epoch seconds).

    Raises: Refusal with InvalidImportTokenException when it is made up, altered or of another key,
    ExpiredImportTokenException when its 24 hours are over.
    """
    try:
        key_arn, wrapping_key, algorithm, expires_at = seal.open(PURPOSE, blob).decode().split("\n")
    except (BrokenSealError, ValueError):  # ValueError: sealed here in another form, by an older version
        raise Refusal(Fault.INVALID_IMPORT_TOKEN) from None
    if key_arn != key.arn:
        raise Refusal(Fault.INVALID_IMPORT_TOKEN)
    if now >= float(expires_at):
        raise Refusal(Fault.EXPIRED_IMPORT_TOKEN)
    return ImportToken(
        key_arn=key_arn,
        wrapping_key=wrapping_key,
        algorithm=WrappingAlgorithm(algorithm),
        expires_at=float(expires_at),
    )
