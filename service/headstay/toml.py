"""Configuration files: TOML into msgspec structs, with errors that name the file and the key. Knows no key itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headstay.errors import StartupError

T = TypeVar("T")


def read(file: Path, expected: type[T]) -> T:
    """Read a file. Raises StartupError, one line that names the file and the key."""
    try:
        octets = file.read_bytes()
    except OSError as error:
        raise StartupError(f"{file}: cannot be read: {error.strerror}") from None
    try:
        return msgspec.toml.decode(octets, type=expected, dec_hook=_decoded)
    except msgspec.ValidationError as error:
        raise StartupError(f"{file}: {_key_first(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartupError(f"{file}: not valid TOML: {error}") from None


def _decoded(kind: type[Any], value: Any) -> Any:
    """Decode what TOML has no type for."""
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("Expected the path of a file")


def _key_first(message: str) -> str:
    """Turn msgspec's `Expected int - at $.listen.port` into `listen.port: Expected int`."""
    text, _, place = message.partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    text = text.replace("Object", "the table", 1) if text.startswith("Object") else text
    return f"{key}: {text}" if key else text
