"""`headstay cloud-admin code`: what it prints and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from headstay.cli import main

CODE = r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}"


@pytest.fixture
def state_dir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["cloud-admin", "device", "add", "SW-1", "--state-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    return str(tmp_path)


def test_code_is_shown_with_what_to_do(state_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud-admin", "code", "sw-1", "--valid", "30m", "--state-dir", state_dir]) == 0
    said = capsys.readouterr().out.splitlines()
    code, validity, advice = said
    assert re.fullmatch(CODE, code)
    assert re.fullmatch(r"good once, until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(local\)", validity)
    assert advice == f"on the device: headstay unbind {code}"
    assert max(map(len, said)) <= 80


def test_json(state_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    codes = set()
    for _ in range(2):
        assert main(["cloud-admin", "--state-dir", state_dir, "code", "SW-1", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said.keys() == {"serial", "code", "expires-at"}
        assert re.fullmatch(CODE, said["code"])
        codes.add(said["code"])
    assert len(codes) == 2


@pytest.mark.parametrize("valid", ["", "1", "h", "-1h", "1.5h", "59s", "8d", "999999d", "1w", "1h "])
def test_time_that_is_none(valid: str, state_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud-admin", "code", "SW-1", f"--valid={valid}", "--state-dir", state_dir]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_serial_that_there_is_not(state_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud-admin", "code", "SW-9", "--state-dir", state_dir]) == 1
    assert "SW-9 was never added" in capsys.readouterr().err
    assert main(["cloud-admin", "code", "_", "--state-dir", state_dir]) == 2
    assert "is not a serial number" in capsys.readouterr().err
