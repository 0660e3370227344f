"""`headstay show state`: the nineteen lines, from whatever the device says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from headstay.cli.show import state_text

ESTABLISHED: dict[str, str | int] = {
    "state": "established",
    "device-state": "connected",
    "process-state": "message-received",
    "mode": "https",
    "server-domain": "localhost",
    "server-address": "127.0.0.1",
    "server-port": 19443,
    "server-role": "primary",
    "connected-at": "2018-01-27T14:18:40.123Z",
    "duration": 121,
    "last-down-reason": "socket-error",
    "last-down-at": "2018-01-27T13:18:40.000Z",
    "dropped-after-buffer-limit": 0,
    "dropped-total": 1,
    "buffer-full-count": 0,
}
SHOWN = """\
Cloud connection state                      : Established
Device state                                : Request_success
Cloud server address                        : 127.0.0.1
Cloud server domain name                    : localhost
Cloud connection mode                       : Https
Cloud server port                           : 19443
Connected at                                : Sat Jan 27 14:18:40 2018
Duration                                    : 00d 00h 02m 01s
Process state                               : Message received
Failure reason                              : N/A
Last down reason                            : socket connection error (Details:N/A)
Last down at                                : Sat Jan 27 13:18:40 2018
Last report failure reason                  : N/A
Last report failure at                      : N/A
Dropped packets after reaching buffer limit : 0
Total dropped packets                       : 1
Last report incomplete reason               : N/A
Last report incomplete at                   : N/A
Buffer full count                           : 0"""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device shows its own local time; here that is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_established() -> None:
    assert state_text(ESTABLISHED) == SHOWN


def test_nothing_known() -> None:
    lines = state_text({}).splitlines()
    assert len(lines) == 19
    assert {line.partition(": ")[2] for line in lines} == {"N/A"}


def lines_of(**leafs: str | int) -> dict[str, str]:
    text = state_text({name.replace("_", "-"): value for name, value in leafs.items()})
    return {line[:44].strip(): line[46:] for line in text.splitlines()}


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (0, "00d 00h 00m 00s"),
        (59, "00d 00h 00m 59s"),
        (3600, "00d 01h 00m 00s"),
        (86399, "00d 23h 59m 59s"),
        (90061, "01d 01h 01m 01s"),
        (4294967295, "49710d 06h 28m 15s"),
    ],
)
def test_duration(duration: int, shown: str) -> None:
    assert lines_of(duration=duration)["Duration"] == shown


def test_failed_authentication() -> None:
    shown = lines_of(state="unconnected", device_state="authentication-failed", failure_reason="authentication-refused")
    assert shown["Cloud connection state"] == "Unconnected"
    assert shown["Device state"] == "Request_cloud_auth_failed"
    assert shown["Failure reason"] == "authentication refused"


def test_details_of_last_down() -> None:
    shown = lines_of(last_down_reason="closed-by-server", last_down_details="going home")
    assert shown["Last down reason"] == "closed by server (Details:going home)"


def test_what_keeps_it_down_is_told_where_nothing_went_down() -> None:
    shown = lines_of(last_down_details="the secret x cannot be decrypted; set it again")
    assert shown["Last down reason"] == "N/A (Details:the secret x cannot be decrypted; set it again)"


def test_every_line_fits_a_terminal() -> None:
    # All but the last down reason, whose form and words are given.
    longest = {line[:44].strip() for line in state_text(ESTABLISHED).splitlines() if len(line) > 80}
    assert longest <= {"Last down reason"}
