"""The SSH host key: made once, mode 0600, its public half beside it as OpenSSH writes it."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from headstay.errors import StartupError
from headstay.netconf import host_key


def test_it_is_made_once_and_is_openssh_s(tmp_path: Path) -> None:
    file = tmp_path / host_key.FILE_NAME
    public = host_key.made(file)
    assert host_key.made(file) == public == host_key.read(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    theirs = asyncssh.read_private_key(file)
    assert public.algorithm == "ssh-ed25519"
    assert public.fingerprint == theirs.get_fingerprint()
    assert asyncssh.read_public_key(f"{file}.pub") == theirs.convert_to_public()
    assert {found.name for found in tmp_path.iterdir()} == {file.name, f"{file.name}.pub"}


def test_a_public_half_that_is_missing_or_another_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / host_key.FILE_NAME
    public = host_key.made(file)
    beside = tmp_path / f"{file.name}.pub"
    for wrong in (None, b"ssh-ed25519 AAAA another\n", b"", b"ssh-ed25519", b"ssh-ed25519 not/base64!", b"\xff\xfe"):
        beside.unlink() if wrong is None else beside.write_bytes(wrong)
        assert host_key.made(file) == public == host_key.read(file)


@pytest.mark.parametrize("content", ["", "nothing of the kind"])
def test_a_file_that_is_no_key(tmp_path: Path, content: str) -> None:
    file = tmp_path / host_key.FILE_NAME
    file.write_text(content)
    with pytest.raises(StartupError, match=r"is not a private key .*; restore it from a backup, or move it away, and"):
        host_key.made(file)
    assert file.read_text() == content


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"cannot be made or read: No such file .*; see that it is a file, and"):
        host_key.made(tmp_path / "nowhere" / host_key.FILE_NAME)


@pytest.mark.parametrize("half", ["", ".pub"])
def test_a_directory_in_the_place_of_either_half_is_named(tmp_path: Path, half: str) -> None:
    file = tmp_path / host_key.FILE_NAME
    host_key.made(file)
    wrong = tmp_path / f"{file.name}{half}"
    wrong.unlink()
    wrong.mkdir()
    with pytest.raises(
        StartupError, match=rf"key {wrong} cannot be made or read: Is a directory; see that it is a file"
    ):
        host_key.made(file)
