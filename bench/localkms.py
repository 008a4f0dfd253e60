"""How fast the local KMS answers, against the least that an aiohttp server can do, and how much it holds.

Three processes: the local KMS (friendly, signatures verified), a bare aiohttp handler that answers as many bytes, and
a raw load generator. Each measurement takes turns between the two, and its figure is the median of the ratios.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import ClientSession
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bench.figure import Figure
from bench.load import plan_of
from bench.process import cpu_s
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, Origin
from byokd.localkms.materials import Import, imported
from byokd.localkms.names import new_key_id
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller
from tests.kit.process import byokd

BITS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
SPECS = tuple(BITS)
ALGORITHM = "RSAES_OAEP_SHA_256"
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
ACCOUNT, REGION = "111122223333", "eu-central-1"
ROUNDS, SECONDS, CONNECTIONS = 5, 1.5, 16
REQUEST_ROUNDS, REQUEST_SECONDS = 15, 0.6
"""Short rounds in turns: the speed of a shared machine moves within seconds, and both sides must meet the same."""
KEYS = 100_000

AT_LEAST_OF_BARE, AT_LEAST_OF_OAEP = 0.4, 0.8
"""The goals of requests and of imports, as shares of the bare handler and of the bare decryption."""


async def measure() -> list[Figure]:
    """Requests and imports as ratios, latency at a rate, and a hundred thousand keys."""
    return [*await _requests(), *await _beside_moto(), *await _imports(), *await _latency(), *await _many_keys()]


# -- servers ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _serving(*options: str, at_rest: bool = True) -> AsyncIterator[tuple[str, int]]:
    """A local KMS in a process of its own: its URL and process id."""
    async with byokd("localkms", "serve", "--listen", "127.0.0.1:0", "--friendly", *options) as server:
        url = (await server.line("listening on ", within_s=120)).rpartition(" ")[2]
        if at_rest:
            await _at_rest(server.process.pid)
        yield url, server.process.pid


async def _at_rest(pid: int) -> None:
    """Wait until a server has made its wrapping keys: it does so on both cores, for most of a minute."""
    used_s = -1.0
    while (now_s := cpu_s(pid)) - used_s > 0.05:
        used_s = now_s
        await asyncio.sleep(1.0)


@asynccontextmanager
async def _bare() -> AsyncIterator[tuple[str, int]]:
    """The bare handler in a process of its own: its URL and process id."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare", stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().split()[-1], process.pid
    finally:
        process.kill()
        await process.wait()


# -- requests --------------------------------------------------------------------------------------------------------


def _signed(url: str, operation: str, **members: Any) -> bytes:
    """A whole request, signed as botocore signs, good for five minutes."""
    headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{url}/", headers=headers, data=json.dumps(members).encode())
    SigV4Auth(Credentials(ACCOUNT, "bench"), "kms", REGION).add_auth(request)
    sent = request.prepare()
    return _raw(url, "/", dict(sent.headers.items()), sent.body)


def _raw(url: str, path: str, headers: Mapping[str, str | bytes], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {url.removeprefix('http://')}"]
    lines += [f"{name}: {value.decode() if isinstance(value, bytes) else value}" for name, value in headers.items()]
    if "Content-Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _ask(url: str, operation: str, **members: Any) -> Any:
    """Call one operation and return its answer."""
    request = _signed(url, operation, **members)
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    async with ClientSession() as session, session.post(f"{url}/", data=body, headers=headers) as answer:
        document = await answer.json(content_type=None)
        assert answer.status == 200, document
        return document


async def _load(
    url: str, requests: list[bytes], *, seconds: float = SECONDS, rate: float | None = None
) -> dict[str, float]:
    """What the load generator found."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    plan = plan_of(url, requests, seconds=seconds, connections=CONNECTIONS, rate=rate)
    found, _ = await process.communicate(plan)
    assert process.returncode == 0, "the load generator met something unexpected"
    return dict(json.loads(found))


async def _requests() -> list[Figure]:
    """Requests a second of the event loop's CPU: what a core serves at best, however busy the machine is."""
    figures = []
    async with _serving() as (url, pid), _bare() as (bare, bare_pid):
        key = (await _ask(url, "CreateKey", Origin="EXTERNAL"))["KeyMetadata"]["KeyId"]
        cases: dict[str, tuple[str, dict[str, Any]]] = {"DescribeKey": ("DescribeKey", {"KeyId": key})}
        for spec in SPECS:
            wanted = {"KeyId": key, "WrappingAlgorithm": ALGORITHM, "WrappingKeySpec": spec}
            cases[f"GetParametersForImport, {spec}"] = ("GetParametersForImport", wanted)
        for name, (operation, members) in cases.items():
            size = len(json.dumps(await _ask(url, operation, **members)))
            turns = _Turns()
            for _ in range(REQUEST_ROUNDS):
                signed = _signed(url, operation, **members)
                plain = signed.replace(b"POST / ", f"POST /{size} ".encode(), 1)
                least = await _per_cpu_s(bare, bare_pid, plain)
                found = await _per_cpu_s(url, pid, signed)
                turns.take(found, least)
            figures.append(turns.figure(f"{name} / bare aiohttp handler", AT_LEAST_OF_BARE))
    return figures


async def _per_cpu_s(url: str, pid: int, request: bytes) -> float:
    """How many of a request a server answers in a second of its event loop's CPU."""

    def loop_s() -> float:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9

    before = loop_s()
    found = await _load(url, [request], seconds=REQUEST_SECONDS)
    return found["count"] / (loop_s() - before)


class _Turns:
    """Our speed and another's, measured in turns."""

    def __init__(self) -> None:
        self._speeds: list[tuple[float, float]] = []

    def take(self, ours: float, theirs: float) -> None:
        """One turn of each, a second."""
        self._speeds.append((ours, theirs))

    def figure(self, name: str, goal: float | None) -> Figure:
        """The median of the turns' ratios."""
        ours, theirs = (statistics.median(each) for each in zip(*self._speeds, strict=True))
        how = f"median of {len(self._speeds)} interleaved rounds: {ours:.0f}/s and {theirs:.0f}/s"
        ratio = statistics.median(mine / other for mine, other in self._speeds)
        return Figure(name=name, value=ratio, goal=goal, at_least=True, unit="x", how=how)


# -- another stand-in ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _moto() -> AsyncIterator[str]:
    """A moto server in a process of its own: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "moto_server"),
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            if b"Running on" in line:
                break
        rest = asyncio.create_task(process.stderr.read())  # a line for each request: somebody must read them
        yield f"http://127.0.0.1:{port}"
        rest.cancel()
    finally:
        process.kill()
        await process.wait()


async def _beside_moto() -> list[Figure]:
    """DescribeKey beside moto's, which closes each connection and has no imports: both are asked by a plain client."""
    turns = _Turns()
    async with _serving() as (url, _), _moto() as moto:
        keys = {each: (await _ask(each, "CreateKey"))["KeyMetadata"]["KeyId"] for each in (url, moto)}
        for _ in range(ROUNDS):
            theirs, ours = await _asked(moto, keys[moto]), await _asked(url, keys[url])
            turns.take(ours, theirs)
    return [turns.figure("DescribeKey / moto server, one plain client", 1.0)]


async def _asked(url: str, key: str) -> float:
    """DescribeKey in a second, by aiohttp's client with eight at a time."""
    head, _, body = _signed(url, "DescribeKey", KeyId=key).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    end, count = time.perf_counter() + SECONDS, 0
    async with ClientSession() as session:

        async def ask() -> None:
            nonlocal count
            while time.perf_counter() < end:
                async with session.post(f"{url}/", data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
                count += 1

        await asyncio.gather(*(ask() for _ in range(8)))
    return count / SECONDS


# -- imports ---------------------------------------------------------------------------------------------------------


async def _imports() -> list[Figure]:
    """Imports on a state file against the decryption alone.

    Per second of CPU, as requests are: in a second of the clock, the generator of the load takes from the two cores as
    well. That figure stands beside it, and so does a bare handler that decrypts.
    """
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        async with _serving("--state", str(Path(directory) / "kms.db")) as (url, pid), _bare() as (handler, _):
            keys = [(await _ask(url, "CreateKey", Origin="EXTERNAL"))["KeyMetadata"]["KeyId"] for _ in range(8)]
            for spec in SPECS:
                terms = [await _terms(url, key, spec) for key in keys]
                bare = _decryption(BITS[spec])
                imports = [_signed(url, "ImportKeyMaterial", **each) for each in terms]
                plain = [each.replace(b"POST / ", f"POST /300/{BITS[spec]} ".encode(), 1) for each in imports]
                await _load(handler, plain[:1], seconds=0.1)  # lets it make its key
                of_cpu, of_clock, beside = _Turns(), _Turns(), _Turns()
                for _ in range(REQUEST_ROUNDS):
                    least = await asyncio.to_thread(bare, REQUEST_SECONDS)
                    before = cpu_s(pid)
                    found = await _load(url, imports, seconds=REQUEST_SECONDS)
                    of_cpu.take(found["count"] / (cpu_s(pid) - before), least.per_cpu_s)
                    of_clock.take(found["per_s"], least.per_s)
                    beside.take(found["per_s"], (await _load(handler, plain, seconds=REQUEST_SECONDS))["per_s"])
                name = f"ImportKeyMaterial, {spec}"
                figures += [
                    of_cpu.figure(f"{name} / bare decryption, of CPU", AT_LEAST_OF_OAEP),
                    of_clock.figure(f"{name} / bare decryption on every core, of the clock", None),
                    beside.figure(f"{name} / bare aiohttp handler that decrypts", None),
                ]
    return figures


async def _terms(url: str, key: str, spec: str) -> dict[str, Any]:
    """An import that can be repeated: the same material again."""
    parameters = await _ask(url, "GetParametersForImport", KeyId=key, WrappingAlgorithm=ALGORITHM, WrappingKeySpec=spec)
    public_key = load_der_public_key(b64decode(parameters["PublicKey"]))
    assert isinstance(public_key, rsa.RSAPublicKey)
    return {
        "KeyId": key,
        "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": b64encode(public_key.encrypt(bytes(32), OAEP)).decode(),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }


class _Speed(NamedTuple):
    """How often something was done, in a second of the clock and of CPU."""

    per_s: float
    per_cpu_s: float


def _decryption(bits: int) -> Callable[[float], _Speed]:
    """A function that decrypts for so many seconds on every core, and returns how often."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    blob = private.public_key().encrypt(bytes(32), OAEP)

    def work(end: float) -> int:
        count = 0
        while time.perf_counter() < end:
            private.decrypt(blob, OAEP)
            count += 1
        return count

    def run(seconds: float) -> _Speed:
        cores, cpu = len(os.sched_getaffinity(0)), time.process_time()
        with ThreadPoolExecutor(cores) as threads:
            count = sum(threads.map(work, [time.perf_counter() + seconds] * cores))
        return _Speed(per_s=count / seconds, per_cpu_s=count / (time.process_time() - cpu))

    return run


async def _latency() -> list[Figure]:
    """The slowest of a hundred, when a hundred come in a second: looks, parameters and imports in turns."""
    figures = []
    with tempfile.TemporaryDirectory() as directory:
        async with _serving("--state", str(Path(directory) / "kms.db")) as (url, _):
            key = (await _ask(url, "CreateKey", Origin="EXTERNAL"))["KeyMetadata"]["KeyId"]
            for spec in ("RSA_2048", "RSA_4096"):
                terms = await _terms(url, key, spec)
                wanted = {"KeyId": key, "WrappingAlgorithm": ALGORITHM, "WrappingKeySpec": spec}
                requests = [
                    _signed(url, "DescribeKey", KeyId=key),
                    _signed(url, "GetParametersForImport", **wanted),
                    _signed(url, "ImportKeyMaterial", **terms),
                ]
                found = [await _load(url, requests, seconds=5, rate=100) for _ in range(3)]
                each_ms = 1000 / (await asyncio.to_thread(_decryption(BITS[spec]), 1.0)).per_cpu_s
                runs = ", ".join(f"p50 {each['p50_ms']:.1f}, p99 {each['p99_ms']:.1f}" for each in found)
                figures.append(
                    Figure(
                        name=f"p99 at 100 requests/s, a third of them imports under {spec}",
                        value=statistics.median(each["p99_ms"] for each in found),
                        goal=10,
                        unit="ms",
                        how=f"ms: {runs}; one bare decryption {each_ms:.1f}",
                    )
                )
    return figures


# -- many keys -------------------------------------------------------------------------------------------------------


async def _many_keys() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "kms.db"
        await _fill(state)
        begin = time.monotonic()
        async with _serving("--state", str(state), at_rest=False) as (url, pid):
            seconds = time.monotonic() - begin
            listed = await _ask(url, "ListKeys", Limit=1000)
            assert len(listed["Keys"]) == 1000
            resident = next(
                int(line.split()[1])
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmRSS")
            )
    name = f"{KEYS} keys with imported material"
    return [
        Figure(
            name=f"{name}: memory", value=resident / 1024, goal=500, unit="MiB", how="resident, as the system sees it"
        ),
        Figure(
            name=f"{name}: from the start to listening", value=seconds, goal=10, unit="s", how="state file in cache"
        ),
    ]


async def _fill(state: Path) -> None:
    """A state of so many keys, each with material that expires."""
    journal = open_journal(state)
    keyring = Keyring(journal)
    owner, now = Caller(ACCOUNT, REGION), time.time()
    for _ in range(KEYS):
        key = Key(id=new_key_id(multi_region=False), owner=owner, origin=Origin.EXTERNAL, created_at=now)
        keyring.put(imported(key, Import(secret=os.urandom(32), expires_at=now + 90 * 86400, new=None))[0])
    await journal.flush()
    await journal.close()
