"""Listings in pages, cut by name, not by position: rows added or removed meanwhile neither hide nor double another.

A marker holds the last name of its page. It is opaque to clients and of no use elsewhere.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from byokd.localkms.errors import Fault, Refusal


def page(
    names: Sequence[str], request: Mapping[str, Any], *, default: int, most: int
) -> tuple[Sequence[str], dict[str, Any]]:
    """The names of the page that a request asks for by Limit and Marker, and the members that close its answer.

    `names` must be sorted. A Limit above `most` gives `most` rows: KMS "might return fewer" than asked for.

    Raises: Refusal with InvalidMarkerException for a marker that is not one of ours.
    """
    limit = min(request.get("Limit", default), most)
    marker = request.get("Marker")
    start = bisect_right(names, _read(marker)) if marker is not None else 0
    rows = names[start : start + limit]
    if start + limit >= len(names):
        return rows, {"Truncated": False}
    return rows, {"Truncated": True, "NextMarker": base64.urlsafe_b64encode(rows[-1].encode()).decode()}


def _read(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise Refusal(Fault.INVALID_MARKER, "The marker is not valid.") from None
