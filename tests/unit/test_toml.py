"""Configuration files: errors name the file and the key; paths are read; nothing else is guessed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headstay import toml
from headstay.errors import StartupError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    port: int = 1


class File(msgspec.Struct, forbid_unknown_fields=True):
    where: Path
    inner: Inner = msgspec.field(default_factory=Inner)


def read(tmp_path: Path, text: str | bytes) -> File:
    file = tmp_path / "f.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return toml.read(file, File)


def test_read(tmp_path: Path) -> None:
    assert read(tmp_path, 'where = "a/b"\n[inner]\nport = 7') == File(Path("a/b"), Inner(7))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "missing required field `where`"),
        ('where = ""', "where: Expected the path of a file"),
        ("where = 1", "where: Expected the path of a file"),
        ('where = "x"\n[inner]\nport = "1"', "inner.port: Expected `int`, got `str`"),
        ('where = "x"\n[inner]\nports = 1', "inner: the table contains unknown field `ports`"),
        ("where = ", "not valid TOML"),
        (b"where = '\xff'", "not valid TOML"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    with pytest.raises(StartupError) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}/f.toml: ")
    assert complaint in message
    assert "\n" not in message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"nowhere\.toml: cannot be read: No such file or directory"):
        toml.read(tmp_path / "nowhere.toml", File)
