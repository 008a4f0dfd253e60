"""Access keys from a file, for a local KMS that verifies whose signature it sees.

    [AKIAIOSFODNN7EXAMPLE]
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    account = "111122223333"
    session_token = "..."          # may be left out: then any or none will do

They are TOML tables, named by access key id. No error shows a secret.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from byokd.localkms.options import Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMBERS: Final = ("secret", "account", "session_token")


def read_credentials(path: Path) -> Mapping[str, Credential]:
    """The credentials of a file, by access key id; at least one.

    Raises: ValueError, with the file's name and what is wrong in it; OSError when it cannot be read.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Without its text: the parser quotes what stands there.
        raise ValueError(f"{path} is not valid TOML ({type(error).__name__}).") from None
    if not tables:
        raise ValueError(f"{path} holds no access key.")
    return MappingProxyType({key_id: _credential(path, key_id, table) for key_id, table in tables.items()})


def _credential(path: Path, key_id: str, table: object) -> Credential:
    if not isinstance(table, dict):
        raise ValueError(f"{path}: {key_id} is no table; write [access key id], then secret and account below it.")  # noqa: TRY004 -- the file's fault, not the code's
    strange = sorted(set(table) - set(MEMBERS))
    if strange:
        raise ValueError(f"{path}: {key_id} has {', '.join(strange)}; known are {', '.join(MEMBERS)}.")
    if not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f"{path}: {key_id}: everything must be written in quotes.")
    missing = sorted({"secret", "account"} - set(table))
    if missing:
        raise ValueError(f"{path}: {key_id} lacks {', '.join(missing)}.")
    try:
        return Credential(**table)
    except ValueError as error:
        raise ValueError(f"{path}: {key_id}: {error}") from None
