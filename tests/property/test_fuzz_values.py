"""Values with an inner form (paths, hashes, entries by key): whatever the text, there is a value or a typed refusal."""

from __future__ import annotations

import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from headstay import xml
from headstay.datastore import passwords, values
from headstay.datastore.edit import edit
from headstay.datastore.nacm import Permissions, read_nacm
from headstay.datastore.values import NotAValue
from headstay.errors import NetconfError
from models import PREFIXES, config, device_model, hcm, made, test_model, text
from mutations import damaged

PATHS = (
    b"/hcm:cloud-management/hcm:backup-server[hcm:domain='b.example']/hcm:port",
    b"/sys:system/sys:authentication/sys:user[sys:name=$USER]/sys:password",
    b'/tt:types/tt:number[.="1"]',
    b"/tt:types/tt:kind[tt:id='ti:dog']",
    b"child::hcm:a/ti:*[. = 'x:y' or tt:b[1] = \"'\"]",
    b"/",
)
HASHES = (b"$6$rounds=1000$salt$" + b"a" * 86, b"$5$salt$" + b"b" * 43, b"$1$salt$" + b"c" * 22)
HASH_PIECES = (b"$", b"=", b"rounds=", b"0", b"9" * 9, b"9" * 5000, "٩٩٩٩٩٩٩٩٩".encode(), b"-1", b" ", b"\0", b"\xff")
KEYS = (b"[h:domain='b.example']", b'[ domain = "a.example" ]', b"[h:domain='a.example'][h:domain='b.example']")
BACKUPS = "".join(f"<backup-server><domain>{name}.example</domain></backup-server>" for name in "ab")


def texts(documents: tuple[bytes, ...], *pieces: tuple[bytes, ...]) -> st.SearchStrategy[str]:
    return damaged(documents, *pieces).map(lambda octets: octets.decode("utf-8", "replace"))


def legal(value: str) -> str:
    """What of a text an XML document can carry."""
    return "".join(c for c in value if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff")


@given(texts(PATHS))
def test_a_path_has_steps_or_is_refused(path: str) -> None:
    try:
        steps = values.node_path(path)
    except NotAValue:
        return
    assert bool(steps) == (path != "/")


@given(texts(PATHS))
def test_the_prefixes_of_an_expression_are_those_that_are_renamed(expression: str) -> None:
    used = values.prefixes_in_path(expression)
    assert values.with_prefixes(expression, {prefix: prefix for prefix in used}) == expression
    renamed = values.with_prefixes(expression, {prefix: f"z{prefix}" for prefix in used})
    assert values.prefixes_in_path(renamed) == {f"z{prefix}" for prefix in used}


@settings(deadline=None)
@given(texts(PATHS))
def test_a_leaf_takes_a_path_or_refuses_it(path: str) -> None:
    """Each type of leaf whose text uses prefixes, in a canonical form that is its own canonical form."""
    for node in prefixed():
        try:
            canonical = node.canonical(path, PREFIXES)
            node.json(canonical.text)
        except NotAValue:
            continue
        assert node.canonical(canonical.text, canonical.prefixes) == canonical


@functools.cache
def prefixed() -> list[object]:
    nodes = [*test_model().schema.walk(), *device_model().schema.walk()]
    return [node for node in nodes if node.terminal and node.prefixed]


@settings(deadline=None)
@given(texts(PATHS))
def test_a_rule_with_any_path_can_be_committed_and_used_or_is_refused(path: str) -> None:
    rule = config(
        f'<nacm xmlns="{xml.NACM}"><rule-list><name>a</name><group>*</group><rule><name>b</name><path/>'
        "<action>permit</action></rule></rule-list></nacm>"
    )
    rule.find(f".//{{{xml.NACM}}}path").text = legal(path)
    outcome = edit(device_model().schema, device_model().empty(), rule)
    if outcome.errors:
        return
    [nacm] = outcome.tree
    tree = made(device_model(), hcm(BACKUPS))
    permissions = Permissions(device_model().schema, read_nacm(nacm), "guest", frozenset())
    assert text(permissions.visible(tree)) == text(tree)


@settings(deadline=None)
@given(texts(KEYS), st.sampled_from(["before", "after", "first", "", "\u2028"]))
def test_an_entry_is_placed_or_refused(key: str, insert: str) -> None:
    content = hcm(
        '<backup-server xmlns:h="urn:headstay:yang:cloud-management"><domain>c.example</domain></backup-server>'
    )
    entry = content[0][0]
    yang = PREFIXES["yang"]
    entry.set(f"{{{yang}}}insert", insert)
    entry.set(f"{{{yang}}}key", legal(key))
    outcome = edit(device_model().schema, made(device_model(), hcm(BACKUPS)), content)
    assert len(outcome.tree[0]) == (2 if outcome.errors else 3)
    assert all(isinstance(error, NetconfError) for error in outcome.errors)


@settings(deadline=None)
@given(texts(HASHES, HASH_PIECES))
def test_a_hash_that_the_model_takes_can_be_checked(stored: str) -> None:
    password = device_model().schema.find("/sys:system/authentication/user/password")
    try:
        canonical = password.canonical(stored, {}).text
    except NotAValue:
        return
    assert passwords.hash_matches(canonical, "x") in (True, False)
