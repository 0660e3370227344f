"""The models that tests use: the device's own, and modules of ours under `tests/yang/` that use what it does not."""

from __future__ import annotations

import functools
from pathlib import Path

from lxml import etree

from headstay import xml
from headstay.datastore.access import Access, Requester
from headstay.datastore.edit import edited
from headstay.datastore.model import Model
from headstay.datastore.modules import ModuleUse, module_directories
from headstay.datastore.nacm import Nacm, Permissions

TEST_YANG = Path(__file__).parent / "yang"
TEST_MODULES = ("test-identities", "test-types", "test-rules", "test-augment")
PREFIXES = {
    "hcm": xml.HCM,
    "sys": xml.SYSTEM,
    "nacm": xml.NACM,
    "tt": "urn:test:types",
    "ti": "urn:test:identities",
    "tr": "urn:test:rules",
    "ta": "urn:test:augment",
    "nc": xml.NETCONF,
    "yang": "urn:ietf:params:xml:ns:yang:1",
    "x": "urn:test:identities",  # the same namespace under a client's own prefix
    "w": "urn:no-such-module",
}
_DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())


@functools.cache
def device_model() -> Model:
    """What the device implements."""
    return Model()


@functools.cache
def test_model() -> Model:
    """The modules under `tests/yang/`."""
    uses = [*map(ModuleUse, TEST_MODULES), ModuleUse("ietf-yang-types", implemented=False)]
    return Model(uses, [TEST_YANG, *module_directories()])


test_model.__test__ = False  # type: ignore[attr-defined]  # not a test, in spite of its name


def config(content: str) -> etree._Element:
    """Return <config> with this content; the prefixes of PREFIXES are declared."""
    return xml.parse(f"<config {_DECLARED}>{content}</config>".encode())


def hcm(content: str) -> etree._Element:
    """Return <config> with this content of <cloud-management>."""
    return config(f'<cloud-management xmlns="{xml.HCM}">{content}</cloud-management>')


def types(content: str) -> etree._Element:
    """Return <config> with this content of <types>."""
    return config(f'<types xmlns="urn:test:types">{content}</types>')


def rules(content: str) -> etree._Element:
    """Return <config> with this content of <rules>."""
    return config(f'<rules xmlns="urn:test:rules">{content}</rules>')


def made(model: Model, content: etree._Element) -> etree._Element:
    """Return the tree that the content makes out of nothing."""
    return edited(model.schema, model.empty(), content)


def text(tree: etree._Element) -> str:
    """Return a tree's serialisation."""
    return xml.serialise(tree).decode()


def values(tree: etree._Element, path: str) -> list[str]:
    """Return the texts of the elements on this path; its prefixes are those of PREFIXES."""
    return [element.text or "" for element in tree.findall(path, PREFIXES)]


class OpenTo(Access):
    """Access control that leaves one user alone, so that the trees of a test need no rules. Others have theirs."""

    def __init__(self, user: str) -> None:
        super().__init__(device_model())
        self._user = user
        self._everything = Permissions(device_model().schema, Nacm(enabled=False), user)

    def permissions(self, requester: Requester, running: etree._Element) -> Permissions:
        own = super().permissions(requester, running)
        return self._everything if requester.user == self._user else own
