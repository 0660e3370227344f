"""A session on the local socket: what a person reads when there is none to be had, and how long it can take."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from headstay import xml
from headstay.cli import local_session
from headstay.cli.local_session import LocalSession
from headstay.errors import CommandError
from headstay.netconf.framing import Framing, frame

REFUSED = "refused the session or is too busy"
HELLO = frame(xml.serialise(xml.element(f"{{{xml.NETCONF}}}hello")), Framing.END_OF_MESSAGE)


class Clock:
    """A clock that only the daemon of a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(local_session, "monotonic", clock)
    return clock


def gives_up(connection: socket.socket) -> bool:
    """Tell whether the other side closes by itself, long before it would if only the kernel looked at the time."""
    connection.settimeout(5)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass  # so the kernel says it where something lay unread
    return True


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


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 108) / "netconf.sock"
    octets = len(str(path))
    assert f"{path}, has {octets} octets, and may have 107; no daemon can be there: " in advice(path)


def test_an_answer_in_drops(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "netconf.sock"
    gave_up = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        clock.now += 61
        connection.sendall(HELLO[:10])
        gave_up.append(gives_up(connection))

    with daemon(path, answer), pytest.raises(CommandError, match="does not answer"):
        LocalSession(path, 60)
    assert gave_up == [True]


def test_answers_that_take_too_long_altogether(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "netconf.sock"
    gave_up = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        clock.now += 2  # in time
        connection.sendall(HELLO)
        connection.recv(65536)
        clock.now += 2  # in time for one answer, and yet too late
        connection.sendall(b"\n#1\n<")
        gave_up.append(gives_up(connection))

    get = xml.element(f"{{{xml.NETCONF}}}get")
    too_late = pytest.raises(CommandError, match=r"the daemon at .*netconf\.sock does not answer")
    with daemon(path, answer), LocalSession(path, 60, altogether=3) as session, too_late:
        session.rpc(get)
    assert gave_up == [True]


def test_whoever_gave_up_does_not_wait_for_the_end_of_the_session(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "netconf.sock"
    heard = bytearray()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HELLO)
        connection.recv(65536)
        clock.now += 61
        connection.sendall(b"\n#1\n<")
        connection.settimeout(5)
        with suppress(ConnectionResetError):  # so the kernel says that it is closed, where something lay unread
            while octets := connection.recv(65536):
                heard.extend(octets)

    with daemon(path, answer), LocalSession(path, 60) as session, pytest.raises(CommandError):
        session.rpc(xml.element(f"{{{xml.NETCONF}}}get"))
    assert heard == b""
