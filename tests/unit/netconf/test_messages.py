"""Hello, rpc, rpc-reply and rpc-error as XML."""

from __future__ import annotations

from typing import ClassVar

import pytest
from lxml import etree

from fakes_netconf import BOTH, NC, hello, parsed
from headstay import errors, xml
from headstay.netconf import messages
from headstay.netconf.messages import BadHello


def test_the_hello_of_the_server() -> None:
    root = etree.fromstring(messages.hello(7, ["a:b?module=x&revision=y"]))
    assert root.tag == f"{{{xml.NETCONF}}}hello"
    assert [e.text for e in root.iter(f"{{{xml.NETCONF}}}capability")] == ["a:b?module=x&revision=y"]
    assert root.findtext(f"{{{xml.NETCONF}}}session-id") == "7"


def test_the_hello_of_a_client() -> None:
    assert messages.read_hello(hello(*BOTH)) == set(BOTH)
    spaced = b'\n<?xml version="1.0" encoding="UTF-8"?>\n' + hello(f"\n  {BOTH[0]}  ")
    assert messages.read_hello(spaced) == {BOTH[0]}


def test_the_hello_of_ncclient_has_prefixes() -> None:
    text = f"""<nc:hello xmlns:nc="{xml.NETCONF}"><nc:capabilities><nc:capability>{BOTH[1]}</nc:capability>
               </nc:capabilities></nc:hello>"""
    assert messages.read_hello(text.encode()) == {BOTH[1]}


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<hello",
        hello(),
        hello("urn:x"),
        hello(BOTH[0]).replace(b"</hello>", b"<session-id>1</session-id></hello>"),
        hello(BOTH[0]).replace(xml.NETCONF.encode(), b"urn:other"),
        hello(BOTH[0]).replace(f' xmlns="{xml.NETCONF}"'.encode(), b""),
        b"<!DOCTYPE hello>" + hello(BOTH[0]),
        f'<rpc {NC} message-id="1"><get/></rpc>'.encode(),
    ],
)
def test_a_bad_hello(octets: bytes) -> None:
    with pytest.raises(BadHello):
        messages.read_hello(octets)


def test_an_rpc_holds_one_operation() -> None:
    rpc = messages.read_rpc(etree.fromstring(f'<rpc {NC} message-id="1"><get/></rpc>'))
    assert rpc.operation.tag == f"{{{xml.NETCONF}}}get"


@pytest.mark.parametrize(
    ("text", "tag", "info"),
    [
        (f"<rpc {NC}><get/></rpc>", "missing-attribute", {"bad-attribute": "message-id", "bad-element": "rpc"}),
        (f'<rpc {NC} message-id="1"/>', "missing-element", {"bad-element": "rpcOperation"}),
        (f'<rpc {NC} message-id="1"><get/><lock/></rpc>', "unknown-element", {"bad-element": "lock"}),
        (f"<hello {NC}/>", "unknown-element", {"bad-element": "hello"}),
        ('<rpc xmlns="urn:x"/>', "unknown-namespace", {"bad-element": "rpc", "bad-namespace": "urn:x"}),
        ("<rpc/>", "unknown-namespace", {"bad-element": "rpc", "bad-namespace": ""}),
    ],
)
def test_what_is_no_correct_rpc(text: str, tag: str, info: dict[str, str]) -> None:
    with pytest.raises(errors.NetconfError) as caught:
        messages.read_rpc(etree.fromstring(text))
    assert caught.value.tag == tag
    assert caught.value.type is errors.ErrorType.RPC
    assert {item.name: item.value for item in caught.value.info} == info


def test_a_reply_returns_every_attribute_of_its_rpc() -> None:
    text = f"""<nc:rpc xmlns:nc="{xml.NETCONF}" xmlns:ex="urn:ex" xmlns:unused="urn:unused"
                 message-id="1&amp;&lt;&quot;'" ex:user-id="fred" nc:odd="a&#10;b" xml:lang="en" plain=" &gt; "/>"""
    message = etree.fromstring(text)
    reply = messages.rpc_reply(messages.reply_opening(message), messages.OK.body)
    root = etree.fromstring(reply)
    assert root.attrib == message.attrib
    assert root.tag == f"{{{xml.NETCONF}}}rpc-reply"
    assert root.nsmap["ex"] == "urn:ex"
    assert [child.tag for child in root] == [f"{{{xml.NETCONF}}}ok"]


def test_the_attributes_are_walked_through_once() -> None:
    class Message:
        nsmap: ClassVar[dict[str | None, str]] = {}
        walks = 0

        def items(self) -> list[tuple[str, str]]:
            self.walks += 1
            return [("message-id", "1"), ("a", "2")]

    message = Message()
    opening = messages.reply_opening(message)  # type: ignore[arg-type]
    assert opening == f'<rpc-reply {NC} message-id="1" a="2">'.encode()
    assert message.walks == 1


def test_a_reply_to_what_could_not_be_read_has_no_attributes() -> None:
    assert messages.rpc_reply(messages.reply_opening(None), b"<ok/>") == f"<rpc-reply {NC}><ok/></rpc-reply>".encode()


def test_an_rpc_error_in_the_order_of_the_rfc() -> None:
    error = errors.InvalidValue(
        "too <large>",
        path=errors.ErrorPath("/hcm:cloud-management/hcm:server/hcm:port", (("hcm", xml.HCM),)),
        app_tag="range",
        info=[errors.ErrorInfo("bad-element", "port")],
    )
    [found] = parsed(messages.error_body(error))
    assert [(xml.local_name(child), (child.text or "").strip()) for child in found] == [
        ("error-type", "application"),
        ("error-tag", "invalid-value"),
        ("error-severity", "error"),
        ("error-app-tag", "range"),
        ("error-path", "/hcm:cloud-management/hcm:server/hcm:port"),
        ("error-message", "too <large>"),
        ("error-info", ""),
    ]
    assert {xml.namespace(element) for element in found.iter()} == {xml.NETCONF}
    assert found[4].nsmap["hcm"] == xml.HCM
    assert found[5].get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
    assert found[6][0].tag == f"{{{xml.NETCONF}}}bad-element"


def test_an_error_info_of_another_namespace() -> None:
    """RFC 7950 section 15: what YANG adds to <error-info> stands in YANG's namespace."""
    info = [errors.ErrorInfo("missing-choice", "a&b", xml.YANG), errors.ErrorInfo("bad-element", "c")]
    found = parsed(messages.error_body(errors.DataMissing("x", info=info)))[0].find(f"{{{xml.NETCONF}}}error-info")
    assert found is not None
    assert [(child.tag, child.text) for child in found] == [
        (f"{{{xml.YANG}}}missing-choice", "a&b"),
        (f"{{{xml.NETCONF}}}bad-element", "c"),
    ]
    assert found[0].prefix is None


def test_an_error_path_may_use_the_prefix_nc() -> None:
    error = errors.BadElement("x", path=errors.ErrorPath("/nc:a", (("nc", xml.NETCONF),)))
    path = parsed(messages.error_body(error)).find(f"{{{xml.NETCONF}}}rpc-error/{{{xml.NETCONF}}}error-path")
    assert path is not None
    assert path.nsmap["nc"] == xml.NETCONF


def test_several_errors_stand_in_one_reply_in_their_order() -> None:
    several = errors.RpcErrors([errors.DataExists("a"), errors.DataMissing("b")])
    found = parsed(messages.error_body(several))
    assert [e.findtext(f"{{{xml.NETCONF}}}error-tag") for e in found] == ["data-exists", "data-missing"]


def test_what_xml_cannot_carry_is_replaced() -> None:
    assert messages.legal("a\x00b\x1b\ud800\uffff\tç😀") == "a\ufffdb\ufffd\ufffd\ufffd\tç😀"
    assert parsed(messages.error_body(errors.OperationFailed("nul \x00"))) is not None


def test_an_operation_without_output_answers_ok() -> None:
    assert messages.output([]) is messages.OK
    assert messages.output([xml.element("{urn:x}a", "1")]).body == b'<a xmlns="urn:x">1</a>'
