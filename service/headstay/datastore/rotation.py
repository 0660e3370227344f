"""The change of the secrets' key: every stored secret is encrypted under a new key, whole or not at all.

Three steps, in this order:

1. `begin` writes the new key beside the old one.
2. `store` replaces every stored datastore by one that is encrypted under the new key, and notes in the same
   transaction, as a fact, which key that is.
3. `settle` puts the new key in the old one's place if the transaction happened, and throws it away if not.

A crash may come between any two, or within one. `settle` at the next start does what is left to do, so that the key
file always opens every stored secret. The caller holds the state directory: no daemon runs meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lxml import etree

from headstay import xml
from headstay.datastore.disk import RESTORE, Disk
from headstay.datastore.schema import Protection, SchemaNode
from headstay.datastore.secrets import SecretUnreadableError, Vault, create_key, sync_directory
from headstay.errors import StartupError

_log = logging.getLogger("headstay.datastore")

Reseal = Callable[[Mapping[str, str], Vault, Vault], Mapping[str, str]]
"""The facts on disk, the present key and the new one in; those facts that hold secrets, under the new key, out."""

KEY_IN_FORCE = "secrets-key"
"""The fact that names the key of what is stored, by its fingerprint. There is none before the first rotation."""


def new_key_file(key_file: Path) -> Path:
    """Return where the new key waits until it takes the old one's place."""
    return key_file.with_name(f"{key_file.name}.new")


def _no_facts(facts: Mapping[str, str], old: Vault, new: Vault) -> Mapping[str, str]:
    del facts, old, new
    return {}


async def rotate(schema: SchemaNode, disk: Disk, key_file: Path, reseal: Reseal = _no_facts) -> int:
    """Bring a new key into force. Returns how many secrets of the datastores it has encrypted.

    Raises SecretUnreadableError if the present key does not open all of them, OperationFailed or StartupError if a file
    or the disk refuses; the present key is in force then, as before.
    """
    settle(key_file, disk)
    old = Vault.existing(key_file)
    try:
        return await store(schema, disk, old, begin(key_file), reseal)
    finally:
        settle(key_file, disk)


def begin(key_file: Path) -> Vault:
    """Write a new key beside the present one, for the same user. Durable when this returns. Raises StartupError."""
    new = new_key_file(key_file)
    try:
        create_key(new, user=key_file.stat().st_uid)
    except OSError as error:
        raise StartupError(f"the secrets' key {new} cannot be written: {error.strerror}") from None
    return Vault.existing(new)


async def store(schema: SchemaNode, disk: Disk, old: Vault, new: Vault, reseal: Reseal = _no_facts) -> int:
    """Store everything encrypted under the new key, in one transaction. Returns how many secrets that was.

    Raises SecretUnreadableError, StartupError or OperationFailed; nothing is changed then.
    """
    contents: dict[str, bytes | None] = {}
    unreadable: list[str] = []
    count = 0
    for name, content in disk.load().items():
        tree = _parsed(disk.file, name, content)
        for leaf, element in _secrets(schema, tree):
            try:
                element.text = new.seal(old.open(element.text or "", leaf), leaf)
            except SecretUnreadableError:
                unreadable.append(f"{leaf.path} in {name}")
            count += 1
        contents[name] = xml.serialise(tree)
    if unreadable:
        raise SecretUnreadableError(f"the present key does not open {', '.join(unreadable)}")
    await disk.save(contents, {**reseal(disk.facts(), old, new), KEY_IN_FORCE: new.fingerprint})
    return count


def settle(key_file: Path, disk: Disk) -> bool:
    """Finish or undo a rotation, whichever the stored secrets ask for; returns whether it was finished.

    Raises StartupError.
    """
    new = new_key_file(key_file)
    if not new.exists():
        return False
    finished = disk.facts().get(KEY_IN_FORCE) == Vault.existing(new).fingerprint
    try:
        if finished:
            new.replace(key_file)
        else:
            new.unlink()
        sync_directory(key_file.parent)
    except OSError as error:
        raise StartupError(f"the secrets' key {new} cannot be brought into force: {error.strerror}") from None
    return finished


def settle_at_start(key_file: Path, datastore_file: Path) -> None:
    """Settle a rotation that was cut off, if there was one. Raises StartupError."""
    if new_key_file(key_file).exists():
        disk = Disk(datastore_file)
        try:
            finished = settle(key_file, disk)
        finally:
            disk.close()
        _log.warning("a change of the secrets' key was cut off; it is %s now", "finished" if finished else "undone")


def _parsed(file: Path, name: str, content: bytes) -> etree._Element:
    try:
        return xml.parse(content)
    except xml.XmlError as error:
        what = f"the stored {name} configuration is damaged: {error}"
        raise StartupError(f"the datastore {file} cannot be used: {what}; {RESTORE}") from None


def _secrets(parent: SchemaNode, tree: etree._Element) -> Iterator[tuple[SchemaNode, etree._Element]]:
    """Yield every secret below `tree` with its leaf."""
    for element in tree:
        node = parent.child(element.tag)
        if node is None:
            continue
        if node.protection is Protection.SECRET:
            yield node, element
        else:
            yield from _secrets(node, element)
