"""The XML parser: whatever the octets, there is a tree of elements and text only, or an XmlError."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import hello
from headstay import xml
from headstay.errors import NetconfError
from headstay.netconf.messages import BadHello, read_hello, read_rpc
from mutations import damaged

BASE = xml.NETCONF.encode()
DOCUMENTS = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<a xmlns="urn:a" b="c"><d>e &amp; f</d><g/></a>',
    b'<nc:rpc xmlns:nc="%b" message-id="1" x:y="z" xmlns:x="urn:x"><nc:get/></nc:rpc>' % BASE,
    b"<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a>&d;</a>",
    b"<a><![CDATA[<b>]]><!-- c --><?d e?>f<g>\xc3\xa9</g></a>",
    hello("urn:ietf:params:netconf:base:1.1"),
)


def content(root: etree._Element) -> list[tuple[object, ...]]:
    return [(node.tag, node.text or "", node.tail or "", dict(node.attrib)) for node in root.iter()]


def check(octets: bytes) -> None:
    refusal = ""
    try:
        root = xml.parse(octets)
    except xml.XmlError as error:
        refusal = str(error)
    if refusal:
        assert len(refusal) < 400
        return
    # No comment, no processing instruction, no entity is left for anybody to stumble over.
    assert all(isinstance(node.tag, str) for node in root.iter())
    assert root.getroottree().docinfo.internalDTD is None
    assert content(xml.parse(xml.serialise(root))) == content(root)
    try:
        opening = read_rpc(root).opening
    except NetconfError:
        return
    assert xml.parse(opening + b"</rpc-reply>").attrib == root.attrib


@given(st.one_of(st.binary(max_size=200), damaged(DOCUMENTS)))
def test_octets_are_a_tree_or_an_error(octets: bytes) -> None:
    check(octets)


@given(st.one_of(st.binary(max_size=100), damaged(DOCUMENTS)))
def test_a_hello_has_capabilities_or_is_none(octets: bytes) -> None:
    try:
        assert read_hello(octets)
    except BadHello:
        return
