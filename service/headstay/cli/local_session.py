"""A NETCONF session on the device's local socket, for the local commands: there is one northbound, not two.

Speaks base:1.1, one request at a time, with a time limit on each and, if need be, on all together. Knows no command.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import socket
from pathlib import Path
from time import monotonic
from types import TracebackType

from lxml import etree

from headstay import toml, xml
from headstay.device_file import DEFAULT_FILE, DEFAULT_STATE_DIR, SOCKET_NAME, DeviceFile, path_complaint
from headstay.errors import CommandError
from headstay.netconf.framing import Deframer, Framing, FramingError, frame

_TIME_LIMIT = 10.0
_REFUSED = "the daemon at {path} refused the session or is too busy; try again, its log says why"
_HELLO = (
    f'<hello xmlns="{xml.NETCONF}"><capabilities>'
    "<capability>urn:ietf:params:netconf:base:1.1</capability></capabilities></hello>"
).encode()


def add_where(parser: argparse.ArgumentParser) -> None:
    """Let a local command's line say which daemon is meant."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, metavar="FILE", help="the daemon's device.toml")
    where.add_argument("--state-dir", type=Path, metavar="DIR", help="the daemon's state directory")


def socket_path(config: Path | None, state_dir: Path | None) -> Path:
    """Return where the daemon's socket is, from `--config` or `--state-dir`, else from the usual places."""
    return state_directory(config, state_dir) / SOCKET_NAME


def state_directory(config: Path | None, state_dir: Path | None) -> Path:
    """Return the daemon's state directory, from `--config` or `--state-dir`, else the usual one."""
    if state_dir is not None:
        return state_dir
    file = config or DEFAULT_FILE
    if config is None and not file.exists():
        return DEFAULT_STATE_DIR
    return file.absolute().parent / toml.read(file, DeviceFile).state_dir


class LocalSession:
    """An open session; use it as a context manager."""

    def __init__(self, path: Path, time_limit: float = _TIME_LIMIT, altogether: float = math.inf) -> None:
        """Connect and exchange hello. Raises CommandError that says what to do.

        `time_limit` is how many seconds each answer may take, `altogether` how many all of them, from now on.
        """
        if (complaint := path_complaint(path)) is not None:
            raise CommandError(f"{complaint}; no daemon can be there: name it with --config or a shorter --state-dir")
        self._path = path
        self._given_up = False  # whether an answer did not come in time
        self._time_limit = time_limit
        self._end = monotonic() + altogether
        self._deframer = Deframer()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
            self._send(_HELLO)
            self._receive()
        except _Closed:
            self._socket.close()
            raise CommandError(_REFUSED.format(path=path)) from None
        except OSError as error:
            self._socket.close()
            raise CommandError(_advice(path, error)) from None
        except CommandError:
            self._socket.close()
            raise
        self._deframer.framing = Framing.CHUNKED
        self._message_id = 0

    def __enter__(self) -> LocalSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An orderly end, so that the daemon's log does not speak of a dropped session; but an impatient person at the
        # terminal must not wait until what was asked before is answered.
        if kind is not KeyboardInterrupt and not self._given_up:
            with contextlib.suppress(CommandError):
                self.rpc(xml.element(f"{{{xml.NETCONF}}}close-session"))
        self._socket.close()

    def rpc(self, operation: etree._Element) -> etree._Element:
        """Send an operation and return its <rpc-reply>. Raises CommandError with the device's own words."""
        self._message_id += 1
        rpc = xml.element(f"{{{xml.NETCONF}}}rpc")
        rpc.set("message-id", str(self._message_id))
        rpc.append(operation)
        try:
            self._send(xml.serialise(rpc))
            reply = self._receive()
        except TimeoutError:
            self._given_up = True
            raise CommandError(
                f"the daemon at {self._path} does not answer; its log may say what it is busy with"
            ) from None
        except OSError:
            raise CommandError("the connection to the daemon broke before it answered") from None
        error = reply.find(f"{{{xml.NETCONF}}}rpc-error")
        if error is not None:
            message = error.findtext(f"{{{xml.NETCONF}}}error-message")
            raise CommandError(message or error.findtext(f"{{{xml.NETCONF}}}error-tag") or "the device refused")
        return reply

    def _send(self, message: bytes) -> None:
        self._answer_by = min(monotonic() + self._time_limit, self._end)
        self._wait_no_longer()
        self._socket.sendall(frame(message, self._deframer.framing))

    def _receive(self) -> etree._Element:
        messages = self._deframer.messages()
        while True:
            try:
                message = next(messages, None)
                if message is not None:
                    return xml.parse(message)
                self._wait_no_longer()
                octets = self._socket.recv(65536)
                if not octets:
                    raise _Closed("the daemon closed the session")
                messages = self._deframer.receive(octets)
            except (FramingError, xml.XmlError) as error:
                raise CommandError(f"the daemon's answer cannot be read: {error}") from None

    def _wait_no_longer(self) -> None:
        """Limit what the socket does next to the time that is left. Raises TimeoutError."""
        left = self._answer_by - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class _Closed(CommandError):
    """The daemon closed the session."""


def _advice(path: Path, error: OSError) -> str:
    match error:
        # A daemon that refuses a session closes it at once, with what was sent to it still unread; one that is too busy
        # lets no further connection wait.
        case ConnectionResetError() | BrokenPipeError() | BlockingIOError():
            return _REFUSED.format(path=path)
        case FileNotFoundError() | ConnectionRefusedError():
            return (
                f"no daemon answers at {path}; start it with `headstay device`, or name it with --config or --state-dir"
            )
        case PermissionError():
            return f"{path}: permission denied; only root, the daemon's user and the group headstay may use it"
        case TimeoutError():
            return f"the daemon at {path} does not answer"
    return f"{path}: {error.strerror}"
