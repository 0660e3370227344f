"""Secrets at rest: the two forms of the model's `secret`, the device's key, and the hashing of users' passwords.

A secret is encrypted with AES-256-GCM under a key that stays outside the datastore. The nonce is derived from the key,
the leaf and the clear text, so the same secret in the same leaf always has the same stored form: writing it again
changes nothing and an edit stays a pure function. All that this tells an observer is that a secret came back. A stored
form is bound to its leaf and cannot be moved to another.

Knows no datastore: it is handed an edit and the tree that the edit is for, and returns the edit without clear secrets.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from headstay.datastore import passwords
from headstay.datastore.computing import computed
from headstay.datastore.entries import Siblings, key_of
from headstay.datastore.schema import Kind, Protection, SchemaNode, error_path
from headstay.datastore.values import NotAValue
from headstay.errors import HeadstayError, InvalidValue, StartupError, TooBig

CLEAR = "$0$"
SEALED = "$aes-256-gcm$"
MOST_PASSWORDS = 100
"""Clear user passwords in one edit."""
_KEY_OCTETS = 32
_NONCE_OCTETS = 12
_RESTORE = "restore it from a backup, or move it away and set every secret again"


class SecretUnreadableError(HeadstayError):
    """A stored secret that this device's key does not open."""


class Vault:
    """Seals and opens secrets with the device's key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._nonce_key = hmac.digest(key, b"headstay nonce", hashlib.sha256)
        self.fingerprint = hmac.digest(key, b"headstay fingerprint", hashlib.sha256)[:16].hex()
        """Tells this key from others and says nothing about it."""

    @classmethod
    def at(cls, file: Path) -> Vault:
        """Read the key file, or make it (mode 0600) if there is none. Raises StartupError."""
        try:
            if not file.exists():
                create_key(file)
        except OSError as error:
            raise StartupError(
                f"the secrets' key {file} cannot be made: {error.strerror}; "
                "see that there is space, and that the daemon may write there"
            ) from None
        return cls.existing(file)

    @classmethod
    def existing(cls, file: Path) -> Vault:
        """Read the key file. Raises StartupError, also if there is none."""
        try:
            key = file.read_bytes()
        except OSError as error:
            raise StartupError(
                f"the secrets' key {file} cannot be read: {error.strerror}; {_next_step(error)}"
            ) from None
        if len(key) != _KEY_OCTETS:
            raise StartupError(f"the secrets' key {file} has {len(key)} octets instead of {_KEY_OCTETS}; {_RESTORE}")
        return cls(key)

    def seal(self, clear: str, leaf: SchemaNode) -> str:
        """Return the stored form of a clear secret for this leaf."""
        bound = leaf.path.encode()
        text = clear.encode()
        nonce = hmac.digest(self._nonce_key, bound + b"\0" + text, hashlib.sha256)[:_NONCE_OCTETS]
        return SEALED + base64.b64encode(nonce + self._cipher.encrypt(nonce, text, bound)).decode()

    def open(self, stored: str, leaf: SchemaNode) -> str:
        """Return the clear secret. Raises SecretUnreadableError."""
        try:
            octets = base64.b64decode(stored.removeprefix(SEALED), validate=True)
            return self._cipher.decrypt(octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:], leaf.path.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise SecretUnreadableError(f"the secret in {leaf.path} was not encrypted by this device") from None


def create_key(file: Path, *, user: int | None = None) -> None:
    """Write a new key (mode 0600), which belongs to this user. Durable when this returns.

    Raises OSError, FileExistsError among them: no key is ever written over.
    """
    # Written aside and linked in place: a crash never leaves a short key, and two starts never make two keys.
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if user is not None:
                os.fchown(stream.fileno(), user, -1)
            stream.write(secrets.token_bytes(_KEY_OCTETS))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Make what was created, renamed or removed in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _next_step(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "the daemon makes it at its first start (`headstay device`)"
        case PermissionError():
            return "only the daemon's user and root may read it"
    return _RESTORE


async def protected(
    vault: Vault,
    schema: SchemaNode,
    config: etree._Element,
    target: etree._Element,
    turn: AbstractAsyncContextManager[None] | None = None,
) -> etree._Element:
    """Return `config` with every clear secret sealed and every clear user password hashed.

    A clear password that `target` holds as a hash becomes that hash. Values that are not of the leaf's type stay as
    they are, for `edit` to refuse. It is `config` itself, which belongs to one request. Raises TooBig if it has
    more than MOST_PASSWORDS clear passwords, each of which takes a tenth of a second. A `turn` is held while `config`
    is gone through, but not while passwords are hashed.
    """
    protection = _Protection(vault)
    async with turn or nullcontext():
        result = await _sealed(protection, schema, config, target)
    await protection.hash_passwords()
    return result


async def without_clear_secrets(
    vault: Vault, schema: SchemaNode, config: etree._Element, empty: etree._Element
) -> etree._Element:
    """Return `config` as `protected` does, for a validation that keeps nothing: passwords are not hashed, and nothing
    that is stored is compared with them.
    """
    return await _sealed(_Protection(vault, hashing=False), schema, config, empty)


async def _sealed(
    protection: _Protection, schema: SchemaNode, config: etree._Element, target: etree._Element
) -> etree._Element:
    if not await computed(lambda: _has_clear(schema, config), config):
        return config
    return await computed(lambda: protection.sealed(schema, config, target), config, target)


def _has_clear(schema: SchemaNode, config: etree._Element) -> bool:
    if not any((element.text or "").startswith(CLEAR) for element in config.iter()):
        return False
    clear = [node for node in schema.walk() if node.protection is not None]
    return any((leaf.text or "").startswith(CLEAR) for node in clear for leaf in config.iter(node.tag))


class _Protection:
    """One edit whose secrets are being protected."""

    def __init__(self, vault: Vault, *, hashing: bool = True) -> None:
        self._vault = vault
        self._hashing = hashing
        self._known = Siblings()
        self._passwords: list[tuple[etree._Element, str, str]] = []
        """Clear ones: the leaf, the text and the hash that is there now."""

    def sealed(self, schema: SchemaNode, config: etree._Element, target: etree._Element) -> etree._Element:
        """Return `config` with its secrets sealed in it, and note its passwords. May be called in a thread.

        A copy would leave the names of whatever a client has put into it with the thread.
        """
        self._protect(schema, config, target)
        return config

    async def hash_passwords(self) -> None:
        """Put hashes in the places of the passwords that were found."""
        for element, clear, stored in self._passwords:
            element.text = stored if await passwords.matches(stored, clear) else await passwords.hashed(clear)

    def _protect(self, parent: SchemaNode, config: etree._Element, target: etree._Element | None) -> None:
        """Protect what is below `config`; `target` is what stands there now."""
        for element in config:
            node = parent.child(element.tag)
            if node is None:
                continue
            counterpart = self._counterpart(node, element, target)
            if not node.terminal:
                self._protect(node, element, counterpart)
            elif node.protection is not None and (element.text or "").startswith(CLEAR) and _valid(node, element):
                clear = (element.text or "").removeprefix(CLEAR)
                if node.protection is Protection.SECRET:
                    element.text = self._vault.seal(clear, node)
                else:
                    self._note_password(node, element, clear, counterpart)

    def _note_password(
        self, node: SchemaNode, element: etree._Element, clear: str, counterpart: etree._Element | None
    ) -> None:
        if len(clear) > passwords.LONGEST:
            raise InvalidValue(f"{node.name}: this password is too long", path=error_path(node, element))
        if not self._hashing:
            element.text = passwords.NOBODY
            return
        if len(self._passwords) == MOST_PASSWORDS:
            raise TooBig(f"an edit has at most {MOST_PASSWORDS} passwords in clear; give the rest as hashes ($6$…)")
        stored = (counterpart.text or "") if counterpart is not None else ""
        self._passwords.append((element, clear, stored))

    def _counterpart(
        self, node: SchemaNode, element: etree._Element, target: etree._Element | None
    ) -> etree._Element | None:
        if target is None:
            return None
        if node.kind is not Kind.LIST:
            return target.find(node.tag)
        return self._known.entry(target, node, key_of(node, element))


def _valid(node: SchemaNode, element: etree._Element) -> bool:
    try:
        node.canonical(element.text or "", element.nsmap)
    except NotAValue:
        return False
    return True
