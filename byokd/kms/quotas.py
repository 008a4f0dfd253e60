"""What an account is allowed, as Service Quotas tells it: the one place where AWS says the number itself.

KMS's request quotas are listed there under names such as "GetParametersForImport request rate", in requests a second
and per account and Region (developer guide, "Request quotas"). A quota that was raised on request shows here, and
nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from aiobotocore.session import AioSession

from byokd.errors import BadAnswer

_SUFFIX: Final = " request rate"
PAGES_MAX: Final = 20
"""KMS has some seventy quotas, a hundred to a page."""


async def read_request_quotas(
    session: AioSession, where: dict[str, Any], sent: Callable[..., None]
) -> dict[str, float]:
    """Requests a second by KMS operation, as they are told; what is not a request quota of one operation is left out.

    `where` is how the client is made (`identity.beside`); `sent` is called when a request sets out. Raises: botocore's
    errors; BadAnswer for a listing without end.
    """
    found: dict[str, float] = {}
    async with session.create_client("service-quotas", **where) as client:
        client.meta.events.register("before-send.service-quotas", sent)
        request = {"ServiceCode": "kms", "MaxResults": 100}
        for _ in range(PAGES_MAX):
            answer = await client.list_service_quotas(**request)
            for quota in answer.get("Quotas", ()):
                name, value = quota.get("QuotaName", ""), quota.get("Value")
                if name.endswith(_SUFFIX) and " " not in name.removesuffix(_SUFFIX):
                    found[name.removesuffix(_SUFFIX)] = float(value) if isinstance(value, int | float) else math.nan
            if not answer.get("NextToken"):
                return found
            request["NextToken"] = answer["NextToken"]
    raise BadAnswer(f"ListServiceQuotas: no end after {PAGES_MAX} pages")
