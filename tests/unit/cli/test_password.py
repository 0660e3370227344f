"""`headstay password`: what it reads, prints and refuses."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

import pytest

from headstay import xml
from headstay.cli import main
from headstay.datastore.disk import Disk
from headstay.datastore.rotation import begin
from headstay.datastore.secrets import Vault
from headstay.state_directory import StateDirectory
from models import device_model, hcm, made, values

PASSWORD = device_model().schema.find("/hcm:cloud-management/server/password")
PRIVATE_KEY = device_model().schema.find("/hcm:cloud-management/tls/private-key")
PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    Vault.at(directory / "secrets.key")
    return directory


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def given(monkeypatch: pytest.MonkeyPatch, octets: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets)))


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Sit at a terminal and give these answers; returns the questions."""
    left, asked = list(answers), []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"")))
    monkeypatch.setattr("getpass.getpass", getpass)
    return asked


def run(capsys: pytest.CaptureFixture[str], state_dir: Path, *arguments: str) -> tuple[int, str, str]:
    code = main(["password", *arguments, "--state-dir", str(state_dir)])
    said = capsys.readouterr()
    return code, said.out, said.err


# encrypt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "clear"), [(b"hunter2\n", "hunter2"), (b" a b \r\nsecond line\n", " a b "), ("pä€".encode(), "pä€")]
)
def test_one_line_of_standard_input(state_dir: Path, monkeypatch, capsys, octets: bytes, clear: str) -> None:
    given(monkeypatch, octets)
    code, out, err = run(capsys, state_dir, "encrypt")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert out.startswith("$aes-256-gcm$")
    assert Vault.existing(state_dir / "secrets.key").open(out.strip(), PASSWORD) == clear


def test_at_a_terminal_it_is_asked_for_twice(state_dir: Path, monkeypatch, capsys) -> None:
    asked = typed(monkeypatch, "hunter2", "hunter2")
    code, out, _ = run(capsys, state_dir, "encrypt")
    assert (code, len(asked)) == (0, 2)
    assert Vault.existing(state_dir / "secrets.key").open(out.strip(), PASSWORD) == "hunter2"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (("one", "two"), "differ"),
        (("", ""), "nothing was given"),
        ((), "no password was given"),
        (("one",), "no password"),
    ],
)
def test_at_a_terminal_without_a_password(state_dir: Path, monkeypatch, capsys, answers, message: str) -> None:
    typed(monkeypatch, *answers)
    code, out, err = run(capsys, state_dir, "encrypt")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err


@pytest.mark.parametrize("octets", [PEM.encode(), PEM.replace("\n", "\r\n").encode()])
def test_a_private_key_is_all_of_standard_input(state_dir: Path, monkeypatch, capsys, octets: bytes) -> None:
    given(monkeypatch, octets)
    code, out, _ = run(capsys, state_dir, "encrypt", "--leaf", "private-key")
    assert code == 0
    assert Vault.existing(state_dir / "secrets.key").open(out.strip(), PRIVATE_KEY) == PEM


@pytest.mark.parametrize(
    ("leaf", "octets", "message"),
    [
        ("password", b"\n", "nothing was given"),
        ("password", b"", "nothing was given"),
        ("password", b"hunter2\xff\n", "not UTF-8"),
        ("password", b"hunter2\0\n", ""),
        ("password", b"hunter2" * 20, ""),
        ("private-key", b"hunter2", "Give one PEM private key"),
        ("private-key", b"", "nothing was given"),
        ("private-key", PEM.encode() * 2, "Give one PEM private key"),
    ],
)
def test_what_is_no_secret_of_that_leaf(state_dir: Path, monkeypatch, capsys, leaf, octets, message: str) -> None:
    given(monkeypatch, octets)
    code, out, err = run(capsys, state_dir, "encrypt", "--leaf", leaf)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert "hunter2" not in err


def test_what_is_printed_can_be_configured(state_dir: Path, monkeypatch, capsys) -> None:
    given(monkeypatch, b"hunter2\n")
    _, out, _ = run(capsys, state_dir, "encrypt")
    tree = made(device_model(), hcm(f"<server><password>{out.strip()}</password></server>"))
    device_model().validate(tree)
    assert values(tree, ".//hcm:password") == [out.strip()]


def test_without_a_key_none_is_made(tmp_path: Path, monkeypatch, capsys) -> None:
    given(monkeypatch, b"hunter2\n")
    for operation in ("encrypt", "rotate-key"):
        code, out, err = run(capsys, tmp_path, operation)
        assert (code, out) == (1, "")
        assert "secrets.key cannot be read: No such file or directory; the daemon makes it at its first start" in err
    assert list(tmp_path.iterdir()) == []


def test_while_the_key_is_being_changed_nothing_is_encrypted(state_dir: Path, monkeypatch, capsys) -> None:
    begin(state_dir / "secrets.key")
    given(monkeypatch, b"hunter2\n")
    code, out, err = run(capsys, state_dir, "encrypt")
    assert (code, out) == (1, "")
    assert "the key is being changed" in err


# rotate-key -------------------------------------------------------------------------------------------


def stored(state_dir: Path, password: str | None = None) -> bytes:
    """Store a configuration with this password, if one is given; returns what is stored."""
    disk = Disk(state_dir / "datastore.db")
    if password is not None:
        content = hcm(f"<server><password>{password}</password></server>")
        asyncio.run(disk.save({"running": xml.serialise(made(device_model(), content))}))
    content = disk.load()["running"]
    disk.close()
    return content


def test_rotate_key(state_dir: Path, capsys) -> None:
    old = Vault.existing(state_dir / "secrets.key")
    before = stored(state_dir, old.seal("hunter2", PASSWORD))
    code, out, err = run(capsys, state_dir, "rotate-key")
    assert (code, err) == (0, "")
    assert "encrypted under it: 1" in out
    new = Vault.existing(state_dir / "secrets.key")
    after = stored(state_dir)
    assert after != before
    assert new.fingerprint != old.fingerprint
    assert new.open(values(xml.parse(after), ".//hcm:password")[0], PASSWORD) == "hunter2"


def test_rotate_key_while_the_daemon_runs(state_dir: Path, capsys) -> None:
    old = (state_dir / "secrets.key").read_bytes()
    stored(state_dir, "$aes-256-gcm$AAAA")
    with StateDirectory(state_dir):
        code, out, err = run(capsys, state_dir, "rotate-key")
    assert (code, out) == (1, "")
    assert err == f"headstay: the daemon runs on {state_dir}: stop it, change the key, start it again\n"
    assert (state_dir / "secrets.key").read_bytes() == old


def test_rotate_key_with_a_wrong_key(state_dir: Path, capsys) -> None:
    before = stored(state_dir, Vault(bytes(32)).seal("hunter2", PASSWORD))
    code, out, err = run(capsys, state_dir, "rotate-key")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "does not open /hcm:cloud-management/server/password in running; restore the right key" in err
    assert stored(state_dir) == before


def test_rotate_key_with_a_database_that_refuses(state_dir: Path, capsys, monkeypatch) -> None:
    before = stored(state_dir, Vault.existing(state_dir / "secrets.key").seal("hunter2", PASSWORD))
    saved = Disk._save

    def refuse(disk: Disk, *contents) -> None:
        disk._connection.execute("PRAGMA query_only = ON")
        saved(disk, *contents)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "_save", refuse)
        code, out, err = run(capsys, state_dir, "rotate-key")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "readonly database; the key was not changed" in err
    assert stored(state_dir) == before


def test_rotate_key_before_anything_is_stored(state_dir: Path, capsys) -> None:
    before = set(state_dir.iterdir())
    code, _, err = run(capsys, state_dir, "rotate-key")
    assert code == 1
    assert "nothing is stored" in err
    assert set(state_dir.iterdir()) == before
