"""`headstay unbind`: where it takes the code from, and what it says."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.cli import main, unbind
from headstay.errors import CommandError
from models import device_model


class FakeSession:
    """A device that takes every code, unless it refuses."""

    refuses: str | None = None
    operations: list[etree._Element]

    def __init__(self, path: Path, time_limit: float) -> None:
        self.path = path

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rpc(self, operation: etree._Element) -> None:
        self.operations.append(operation)
        if self.refuses is not None:
            raise CommandError(self.refuses)


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    class Session(FakeSession):
        operations: list[etree._Element] = []  # noqa: RUF012 (of this test alone)

    monkeypatch.setattr(unbind, "LocalSession", Session)
    return Session


def codes(device: type[FakeSession]) -> list[str]:
    """The codes that reached the device, each in an operation that the model accepts."""
    return [str(device_model().rpc_input(operation).findtext(f"{{{xml.HCM}}}code")) for operation in device.operations]


@pytest.mark.parametrize("given", ["7K3M-9QXA-2BWD-HT5F", "7k3m9qxa2bwdht5f"])
def test_code_on_the_command_line(given: str, device: type[FakeSession], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unbind", given, "--state-dir", "/nowhere"]) == 0
    assert codes(device) == [given]
    assert capsys.readouterr() == ("unbound; another cloud user can register this device now\n", "")


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_code_from_standard_input(
    arguments: list[str], device: type[FakeSession], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" 7K3M 9QXA  2BWD HT5F \nsecond line\n"))
    assert main(["unbind", *arguments]) == 0
    assert codes(device) == ["7K3M-9QXA-2BWD-HT5F"]
    assert capsys.readouterr().err == ""


def test_code_asked_for_at_a_terminal(
    device: type[FakeSession], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("7K3M\n"))
    assert main(["unbind"]) == 0
    assert codes(device) == ["7K3M"]
    assert capsys.readouterr().err == "Verification code: "


@pytest.mark.parametrize("octets", [b"", b"\n", b" \n", b"\xff\n"])
def test_without_a_code(
    octets: bytes, device: type[FakeSession], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8"))
    assert main(["unbind"]) == 1
    assert (codes(device), capsys.readouterr().err.count("\n")) == ([], 1)


@pytest.mark.parametrize("given", ["SECRÉT", "SECRET\x01", "SECRET" * 11])
def test_what_is_no_code_is_not_shown(
    given: str, device: type[FakeSession], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["unbind", given]) == 2
    said = capsys.readouterr()
    assert (codes(device), said.out, said.err.count("\n")) == ([], "", 1)
    assert "SECR" not in said.err


def test_a_refusal_is_one_line(device: type[FakeSession], capsys: pytest.CaptureFixture[str]) -> None:
    device.refuses = "the code has expired"
    assert main(["unbind", "1"]) == 1
    assert capsys.readouterr() == ("", "headstay: the code has expired\n")
