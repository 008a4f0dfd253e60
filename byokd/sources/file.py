"""Material in files, read as ssh reads private keys: only if nobody else could.

The read happens on the event loop and not in a thread. Material files are small and local (systemd and Kubernetes keep
them in memory), and a thread cannot be cancelled: it would go on filling a buffer that has been wiped already. Keep
material off network file systems; a server that hangs would hang byokd.
"""

from __future__ import annotations

from pathlib import Path, PurePath

from byokd.errors import SourceUnreadable
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.material.private_file import read_private
from byokd.ports import MaterialProof, Sealed
from byokd.sources.plaintext import MAX_BYTES, Plaintext, Reader


class FileSource:
    """A `Source` whose locator is the path of a file with one key's material."""

    def __init__(
        self,
        name: str,
        *,
        directory: Path | None,
        encoding: Encoding,
        fingerprint_key: FingerprintKey,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """With a `directory`, locators are relative to it and name nothing outside; without one they are absolute.

        Symbolic links are followed wherever they lead: who may write into the directory may choose the material anyway.
        """
        self.name = name
        self._directory = directory
        self._plaintext = Plaintext(encoding=encoding, max_bytes=max_bytes, fingerprint_key=fingerprint_key)

    async def prove(self, locator: str) -> MaterialProof:
        """See `ports.Source`."""
        return await self._plaintext.prove(self._reader(locator))

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """See `ports.Source`."""
        return await self._plaintext.seal(self._reader(locator), public_key=public_key, algorithm=algorithm)

    def _reader(self, locator: str) -> Reader:
        path = self._path(locator)

        async def read(into: memoryview) -> int:
            return read_private(path, into)

        return read

    def _path(self, locator: str) -> Path:
        path = PurePath(locator)
        if self._directory is None:
            if not path.is_absolute():
                raise SourceUnreadable(
                    f"source {self.name}: {locator!r} is not an absolute path, and no directory is configured"
                )
            return Path(path)
        # Only a whole component ".." climbs: Kubernetes names its own directories "..data".
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise SourceUnreadable(f"source {self.name}: {locator!r} does not name a file inside {self._directory}")
        return self._directory / path
