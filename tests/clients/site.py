"""Where the clients work: an endpoint, credentials, a directory, and time that somebody else lets pass."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from aiohttp import ClientSession

REGION = "eu-central-1"
ACCOUNT = "111122223333"
VALID_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Site:
    """One local KMS and a directory to work in."""

    url: str
    admin_url: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a client of AWS is told by its environment: everything as for AWS, and the endpoint."""
        return {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "/usr/bin:/bin"))),
            "HOME": str(self.directory),
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def soon(self) -> datetime:
        """A ValidTo that `lapse` will pass."""
        return datetime.now(UTC) + VALID_FOR

    async def lapse(self, key: str) -> None:
        """Let so much time pass that a key with a ValidTo of `soon` has lost its material; the clients stay behind."""
        async with (
            ClientSession() as session,
            session.post(f"{self.admin_url}/time", json={"advance_s": VALID_FOR.total_seconds() + 1}) as answer,
        ):
            assert answer.status == 200, await answer.text()
        told = await asyncio.to_thread(self.boto3().describe_key, KeyId=key)
        assert told["KeyMetadata"]["KeyState"] == "PendingImport"

    def boto3(self) -> Any:
        """AWS's Python client, told nothing but the endpoint, the Region and credentials."""
        return boto3.client(
            "kms",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="none",
        )

    async def run(self, *words: str, **variables: str) -> str:
        """Run a program to its end in the directory and return what it wrote; it must succeed."""
        code, said, complained = await self.attempt(*words, **variables)
        assert code == 0, f"{words} ended with {code}: {complained}{said}"
        return said

    async def attempt(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """Run a program to its end in the directory; returns exit code, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=self.directory,
            env=self.environment | variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode(), complained.decode()
