"""One daemon owns a store: a lock on a file beside the database, held for the owner's life.

The kernel lets go of the lock however the owner ends, so there is nothing to clean up after a crash, and the process id
inside the file is only for people: it says who holds the lock, not that somebody does. The file itself is never
removed, since a second owner could otherwise lock a file that is already gone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from byokd.errors import StoreBusy, StoreError

PRIVATE = 0o600


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Own the store at `path`. Raises: StoreBusy when somebody does; StoreError when its folder may not be written."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    except OSError as error:
        raise StoreError(f"{lock} cannot be opened: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder else "another process"
            raise StoreBusy(f"{path} belongs to {who}: one daemon owns a store.") from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds all the same, and only the name for people is missing
        yield
    finally:
        os.close(descriptor)


def make_private(path: Path) -> None:
    """Create the file if it is missing, and take it from everybody but its owner. Raises: StoreError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            os.fchmod(descriptor, PRIVATE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}.") from error
