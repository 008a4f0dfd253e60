"""The Unix socket's file: whose it is, who may open it, and when it goes."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from byokd.errors import OperatorError
from byokd.web.socket import peer, serving


@pytest.fixture(params=[0o000, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The process's umask for one test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


async def test_mode(tmp_path: Path, umask: int):
    """Owner and group may open the socket and nobody else, whatever the umask, which stays as it was."""
    path = tmp_path / "byokd.sock"
    async with serving(web.Application(), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert os.umask(umask) == umask
    assert not path.exists()


async def test_stale_socket(tmp_path: Path):
    """What a killed daemon left behind is taken away."""
    path = tmp_path / "byokd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(web.Application(), path):
        assert path.is_socket()


async def test_second_daemon(tmp_path: Path):
    """A socket that somebody answers is left alone, and its owner goes on."""
    path = tmp_path / "byokd.sock"
    async with serving(web.Application(), path):
        with pytest.raises(OperatorError, match="another byokd answers"):
            async with serving(web.Application(), path):
                pass
        with socket.socket(socket.AF_UNIX) as client:
            assert client.connect_ex(str(path)) == 0


async def test_another_file_in_the_way(tmp_path: Path):
    """A file that is no socket is never removed."""
    path = tmp_path / "byokd.sock"
    path.write_text("precious")
    with pytest.raises(OperatorError, match="not a socket"):
        async with serving(web.Application(), path):
            pass
    assert path.read_text() == "precious"


async def test_no_directory(tmp_path: Path):
    """A directory that is not there is told, not made."""
    with pytest.raises(OperatorError, match="No such file or directory"):
        async with serving(web.Application(), tmp_path / "none" / "byokd.sock"):
            pass


async def test_successor(tmp_path: Path):
    """A daemon that ends late leaves the socket of the one after it."""
    path = tmp_path / "byokd.sock"
    async with serving(web.Application(), path):
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(str(path))
    assert path.is_socket()
    successor.close()


def test_nobody_at_the_other_end():
    """Off a Unix socket there is no user to name."""
    assert peer(None) == "unknown"
