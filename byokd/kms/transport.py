"""HTTP as aiobotocore does it, with one set of trusted certificates for all lanes.

The SDK reads the bundle of certificate authorities anew for each client, which costs 30 ms and a megabyte: a minute of
CPU and a gigabyte for a thousand lanes. A context that only verifies holds nothing of a lane, so lanes share it. One
with a client certificate, or for a proxy, is changed after it was made: such a client has its own.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from threading import Lock
from typing import Final

from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import get_cert_path

_making: Final = Lock()
_made: Final[dict[str, tuple[int, ssl.SSLContext]]] = {}
"""By bundle: when the file was last changed, and the context. A bundle that is exchanged counts for new clients."""


class SharedTrust(AIOHTTPSession):  # type: ignore[misc]  # untyped upstream
    """The SDK's HTTP session, whose TLS contexts are shared where they may be."""

    def _build_ssl_contexts(self, proxy_url: str | None) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
        # aiobotocore has no public place for this; it is pinned to one minor version, and a test counts the contexts.
        # It is called in a thread, by many lanes at once when the daemon starts.
        bundle = get_cert_path(self._verify) if self._verify else None
        if self._cert_file or proxy_url or not bundle:
            return super()._build_ssl_contexts(proxy_url)  # type: ignore[no-any-return]  # untyped upstream
        with _making:
            changed_at = Path(bundle).stat().st_mtime_ns
            known = _made.get(bundle)
            if known is None or known[0] != changed_at:
                known = _made[bundle] = (changed_at, self._build_verify_context())
            return known[1], None
