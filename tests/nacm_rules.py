"""Rules of access control, and what they leave to one user: how the tests write them."""

from __future__ import annotations

from lxml import etree

from headstay import xml
from headstay.datastore.nacm import Permissions, read_nacm
from models import config, device_model, made


def rules(*written: str, options: str = "", groups: str = "<group>g</group>") -> etree._Element:
    """An edit with these rules for the group g, whose only member is `user`."""
    numbered = "".join(f"<rule><name>{number}</name>{rule}</rule>" for number, rule in enumerate(written))
    listed = f"<rule-list><name>l</name>{groups}{numbered}</rule-list>" if written else ""
    return config(
        f'<nacm xmlns="{xml.NACM}">{options}<groups><group><name>g</name><user-name>user</user-name></group></groups>'
        f"{listed}</nacm>"
    )


def permissions(edit: etree._Element, user: str = "user", groups: frozenset[str] = frozenset()) -> Permissions:
    tree = made(device_model(), edit)
    return Permissions(device_model().schema, read_nacm(tree.find(f"{{{xml.NACM}}}nacm")), user, groups)


def permit(path: str, rights: str = "*") -> str:
    return f"<path>{path}</path><access-operations>{rights}</access-operations><action>permit</action>"


def deny(path: str, rights: str = "*") -> str:
    return permit(path, rights).replace("permit", "deny")
