"""The one type that plaintext lives in.

A `Secret` owns a buffer that is allocated once, at its full size, and is never resized: growing or shrinking a
`bytearray` may move it and leave the old bytes behind. It shows itself to nobody by accident (no repr, no pickle, no
copy, no bytes()), and is zeroed when its `with` block ends, however it ends.

What wiping can do in CPython, and what not: the buffers here and the copies made by `immutable()` are overwritten in
place. Copies that a library makes inside itself, that the kernel makes in pipes and page cache, or that swapping puts
on disk, are out of reach. Wiping shortens how long material lies in memory; it does not make a core dump safe, so the
service forbids core dumps and swap as well.
"""

from __future__ import annotations

import ctypes
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, NoReturn, Self

_BYTES_HEADER: Final = bytes.__basicsize__ - 1
"""Where a bytes object's content begins: after its header, whose size counts the trailing NUL as well."""


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrite a buffer with zeros, in place: an assignment of the same size does not move it."""
    buffer[:] = bytes(len(buffer))


def forget(content: bytes) -> None:
    """Overwrite a bytes object in place. Only for one that the caller has made and nobody else holds.

    CPython only, which is what byokd runs on. Contents of one byte or none are shared by the whole interpreter and are
    left alone.
    """
    if len(content) > 1:
        ctypes.memset(id(content) + _BYTES_HEADER, 0, len(content))


class Secret:
    """The first `length` bytes of a buffer that now belongs to this object, which will wipe all of it."""

    __slots__ = ("_buffer", "_length", "_open")

    def __init__(self, buffer: bytearray, length: int | None = None) -> None:
        self._buffer = buffer
        self._length = len(buffer) if length is None else length
        self._open = True
        if not 0 <= self._length <= len(buffer):
            wipe(buffer)
            raise ValueError("a secret cannot be longer than its buffer")

    @property
    def view(self) -> memoryview:
        """The bytes themselves, not copied and not writable. Raises ValueError once the secret is wiped."""
        if not self._open:
            raise ValueError("this secret has been wiped")
        return memoryview(self._buffer).toreadonly()[: self._length]

    @contextmanager
    def immutable(self) -> Iterator[bytes]:
        """A copy for a library that insists on `bytes`; it is overwritten when the block ends. Do not keep it."""
        content = bytes(self.view)
        try:
            yield content
        finally:
            forget(content)

    def close(self) -> None:
        """Overwrite the whole buffer. May be called again."""
        self._open = False
        wipe(self._buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        """Compare in time that does not depend on where the two differ."""
        return hmac.compare_digest(self.view, other.view) if isinstance(other, Secret) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a hash would be an unkeyed fingerprint

    def __repr__(self) -> str:
        return f"<Secret of {self._length} bytes>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> NoReturn:
        raise TypeError("a Secret is not copied: a copy would not be wiped")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a Secret is not copied: a copy would not be wiped")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled: it must not leave the process")
