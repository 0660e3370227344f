"""What the device comes up with: the last commit, the startup configuration after a new boot, or the first user.

Owns the choice (running is non-volatile; startup counts only where it is enabled) and the checks of what was stored.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from lxml import etree

from headstay import xml
from headstay.datastore.access import NACM
from headstay.datastore.disk import Disk
from headstay.datastore.edit import edited
from headstay.datastore.model import DATA, Model
from headstay.errors import NetconfError, RpcErrors, StartupError

BOOT_ID = "boot-id"


@dataclass(frozen=True, slots=True)
class Boot:
    """What there is at start."""

    running: etree._Element
    startup: etree._Element | None


async def load(model: Model, disk: Disk, initial: etree._Element, boot_id: str, *, with_startup: bool) -> Boot:
    """Return the trees to start with; running is on disk when this returns.

    `initial` is an edit that makes a first configuration; `boot_id` tells one boot of the kernel from another. A
    configuration without any access control gets that of `initial`: nobody but root could change it otherwise. Raises
    StartupError if what is stored does not obey the model, or the disk refuses.
    """
    stored = disk.load()
    new_boot = disk.facts().get(BOOT_ID) != boot_id
    startup = _tree(model, stored["startup"], "startup") if with_startup and "startup" in stored else None
    if new_boot and startup is not None:
        running = startup
    elif "running" in stored:
        running = _tree(model, stored["running"], "running")
    else:
        running = _checked(model, initial, "device.toml")
    running = _with_access_control(model, running, initial)
    content = xml.serialise(running)
    if new_boot or stored.get("running") != content:
        try:
            await disk.save({"running": content}, {BOOT_ID: boot_id})
        except NetconfError as error:
            raise StartupError(error.message) from None
    return Boot(running, startup)


def _with_access_control(model: Model, running: etree._Element, initial: etree._Element) -> etree._Element:
    rules = initial.find(NACM)
    if rules is None or running.find(NACM) is not None:
        return running
    config = model.empty()
    config.append(copy.deepcopy(rules))
    return edited(model.schema, running, config)


def _tree(model: Model, content: bytes, name: str) -> etree._Element:
    try:
        root = xml.parse(content)
    except xml.XmlError as error:
        raise StartupError(f"the stored {name} configuration is damaged: {error}") from None
    if root.tag != DATA:
        raise StartupError(f"the stored {name} configuration is damaged: it is no <data>")
    return _checked(model, root, f"the stored {name} configuration")


def _checked(model: Model, config: etree._Element, what: str) -> etree._Element:
    try:
        tree = edited(model.schema, model.empty(), config)
        model.validate(tree)
    except (NetconfError, RpcErrors) as error:
        raise StartupError(f"{what} does not obey the model: {error}") from None
    return tree
