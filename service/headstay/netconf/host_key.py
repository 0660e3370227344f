"""The key by which the device proves itself to managers: made at the first start, never shown but for its public half.

Owns the two files, OpenSSH's names and forms. Knows no server.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from headstay.errors import StartupError

FILE_NAME = "ssh_host_ed25519_key"
"""In the state directory; the public half lies beside it, with `.pub`."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half, as OpenSSH writes it."""

    algorithm: str
    data: str
    """The key itself, in base64."""

    @property
    def line(self) -> str:
        """Algorithm and key, as a known_hosts file has them after the host's name."""
        return f"{self.algorithm} {self.data}"

    @property
    def fingerprint(self) -> str:
        """What a person compares: `SHA256:` and 43 characters, as OpenSSH shows it."""
        digest = hashlib.sha256(base64.b64decode(self.data)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def made(file: Path) -> PublicKey:
    """Return the public half of the key in `file`; both files are made where they are missing.

    The private one has mode 0600 from the first octet on. Raises StartupError.
    """
    import asyncssh  # the command that shows a key has no need of it

    try:
        if not file.exists():
            _write(file, asyncssh.generate_private_key("ssh-ed25519", comment="headstay").export_private_key(), 0o600)
        key = asyncssh.read_private_key(file)
        public = _parsed(key.export_public_key().decode())
        if not _is_beside(file, public):
            _write(_public_file(file), f"{public.line} headstay\n".encode(), 0o644)
    except OSError as error:
        raise StartupError(
            f"the SSH host key {error.filename2 or error.filename or file} cannot be made or read: {error.strerror}; "
            "see that it is a file, and that there is space and the daemon may write there"
        ) from None
    except (asyncssh.KeyImportError, ValueError) as error:
        raise StartupError(
            f"the SSH host key {file} is not a private key without passphrase: {error}; restore it from a backup, or "
            "move it away, and the daemon makes another one, of which every manager has to be told"
        ) from None
    return public


def _is_beside(file: Path, public: PublicKey) -> bool:
    try:
        return read(file) == public
    except (FileNotFoundError, ValueError):
        return False


def read(file: Path) -> PublicKey:
    """Return the public half of a key that a daemon has made. Raises OSError, or ValueError if it is not one."""
    return _parsed(_public_file(file).read_text())


def _public_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.pub")


def _parsed(text: str) -> PublicKey:
    algorithm, data, *_ = text.split(maxsplit=2)
    base64.b64decode(data, validate=True)
    return PublicKey(algorithm, data)


def _write(file: Path, content: bytes, mode: int) -> None:
    aside = file.with_name(f".{file.name}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        stream.write(content)
    aside.replace(file)
