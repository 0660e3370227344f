"""A session on the local socket: what a person reads when there is none to be had."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headstay.cli.local_session import LocalSession
from headstay.errors import CommandError

REFUSED = "refused the session or is too busy"


@contextmanager
def daemon(path: Path, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """Something that accepts one connection and does `answer` with it before it closes."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield
        thread.join(10)


def advice(path: Path) -> str:
    with pytest.raises(CommandError) as caught:
        LocalSession(path)
    return str(caught.value)


def test_a_daemon_that_closes_before_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "netconf.sock"
    # What lies there unread makes the kernel reset the connection.
    with daemon(path, lambda connection: connection.recv(1)):
        assert REFUSED in advice(path)


def test_a_daemon_that_closes_after_it_has_read(tmp_path: Path) -> None:
    path = tmp_path / "netconf.sock"
    with daemon(path, lambda connection: connection.recv(65536)):
        assert REFUSED in advice(path)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EPIPE, errno.ECONNRESET])
def test_a_daemon_that_lets_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def connect(self: socket.socket, address: str) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert REFUSED in advice(tmp_path / "netconf.sock")


def test_no_daemon(tmp_path: Path) -> None:
    assert "no daemon answers" in advice(tmp_path / "netconf.sock")
