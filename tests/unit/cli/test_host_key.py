"""`headstay host-key`: what it prints, and what it says where there is no key yet."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from headstay.cli import main
from headstay.netconf import host_key


def test_the_fingerprint_and_the_line_for_known_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = host_key.made(tmp_path / host_key.FILE_NAME)
    (tmp_path / "device.json").write_text(json.dumps({"netconf-port": 8300}))
    assert main(["host-key", "--state-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ssh-ed25519 {key.fingerprint}"
    assert lines[-1] == f"[ADDRESS]:8300 {key.line}"


def test_the_port_is_the_usual_one_where_no_daemon_has_said_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host_key.made(tmp_path / host_key.FILE_NAME)
    assert main(["host-key", "--state-dir", str(tmp_path)]) == 0
    assert "[ADDRESS]:830 ssh-ed25519 " in capsys.readouterr().out


def test_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = host_key.made(tmp_path / host_key.FILE_NAME)
    assert main(["host-key", "--json", "--state-dir", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"fingerprint": key.fingerprint, "algorithm": "ssh-ed25519", "public-key": key.line}


@pytest.mark.parametrize("content", [None, "", "ssh-ed25519", "ssh-ed25519 not/base64!"])
def test_no_key_yet_or_no_key_at_all(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (tmp_path / f"{host_key.FILE_NAME}.pub").write_text(content)
    assert main(["host-key", "--state-dir", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert ("has no host key yet" if content is None else "the daemon makes it anew when it starts") in printed.err


def test_what_the_daemon_cannot_mend_is_not_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["host-key", "--state-dir", str(file)]) == 1
    said = f"headstay: {file} is no directory; name the daemon with --config or its directory with --state-dir\n"
    assert capsys.readouterr().err == said
    (tmp_path / f"{host_key.FILE_NAME}.pub").mkdir()
    assert main(["host-key", "--state-dir", str(tmp_path)]) == 1
    assert ".pub cannot be read: Is a directory; move away what is there, and" in capsys.readouterr().err


def test_openssh_shows_the_same_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / host_key.FILE_NAME
    key = host_key.made(file)
    try:
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", f"{file}.pub"], capture_output=True, text=True, check=True, timeout=20
        )
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not here (Debian: openssh-client)")
    assert key.fingerprint in shown.stdout
