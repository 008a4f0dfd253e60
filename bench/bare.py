"""The least that an aiohttp server can do: read the request, answer a body of so many bytes. In a process of its own.

POST /<bytes>            200, that many bytes, and the headers that KMS's answers carry
POST /<bytes>/<bits>     the same, after an OAEP decryption under an RSA key of so many bits, in a thread
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "x-amzn-RequestId": "00000000-0000-4000-8000-000000000000",
    "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
}


OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
THREADS = ThreadPoolExecutor(len(os.sched_getaffinity(0)))


@cache
def sealed(bits: int) -> tuple[rsa.RSAPrivateKey, bytes]:
    """A private key, and 32 bytes that are encrypted for it."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return private, private.public_key().encrypt(bytes(32), OAEP)


@cache
def body(size: int) -> bytes:
    """An answer of that size."""
    return b"x" * size


async def handle(request: web.BaseRequest) -> web.Response:
    """Answer one request."""
    await request.read()
    size, _, bits = request.path[1:].partition("/")
    if bits:
        private, blob = sealed(int(bits))
        await asyncio.get_running_loop().run_in_executor(THREADS, private.decrypt, blob, OAEP)
    return web.Response(body=body(int(size)), headers=HEADERS)


async def main() -> None:
    """Serve until killed."""
    runner = web.ServerRunner(web.Server(handle), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("listening on http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
