"""The least that an aiohttp server can do: read the request, answer a body of so many bytes. In a process of its own.

POST /<bytes>     200, that many bytes, and the headers that KMS's answers carry
"""

from __future__ import annotations

import asyncio
from functools import cache

from aiohttp import web

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "x-amzn-RequestId": "00000000-0000-4000-8000-000000000000",
    "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
}


@cache
def body(size: int) -> bytes:
    """An answer of that size."""
    return b"x" * size


async def handle(request: web.BaseRequest) -> web.Response:
    """Answer one request."""
    await request.read()
    return web.Response(body=body(int(request.path[1:])), headers=HEADERS)


async def main() -> None:
    """Serve until killed."""
    runner = web.ServerRunner(web.Server(handle), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("listening on http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
