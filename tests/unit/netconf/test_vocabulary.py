"""Which documents may be parsed where their names stay, and that nothing that stays is overlooked."""

from __future__ import annotations

import pytest

from fakes_netconf import NC
from headstay.netconf.vocabulary import Vocabulary

GET = f'<rpc {NC} message-id="%s"><get-config><source><running/></source></get-config></rpc>'
ROOM = 2000


def rpc(content: str) -> bytes:
    return f"<rpc {NC} message-id='1'>{content}</rpc>".encode()


def exhausted() -> Vocabulary:
    """One that has room for nothing more, and knows what GET is made of."""
    vocabulary = Vocabulary(ROOM)
    assert vocabulary.admits((GET % "1").encode())
    assert vocabulary.admits(rpc("<a/>"))
    number = 0
    while vocabulary.admits(rpc(f"<filling-{number}/>")):
        number += 1
    return vocabulary


def test_what_was_admitted_is_admitted_for_ever() -> None:
    vocabulary = exhausted()
    for message_id in ("1", "7", "urn:uuid:39d1a1ab", "a" * 500, "", "'"):
        assert vocabulary.admits((GET % message_id).encode())
        assert vocabulary.admits((GET % message_id).replace('"', "'").encode() if "'" not in message_id else b"<a/>")
    assert vocabulary.admits(rpc("<a>any value</a>"))


@pytest.mark.parametrize(
    "document",
    [
        rpc("<b/>"),
        rpc("<a></a ><b>"),
        rpc("<a b='1'/>"),
        rpc('<a b="1"/>'),
        rpc("<a\n\tb = '1'/>"),
        rpc("<a b"),
        rpc("<a 'b'c/>"),
        rpc("<b:a/>"),
        rpc("<a xmlns='b'/>"),
        rpc('<a xmlns:a = "b"/>'),
        rpc("<a>&b;</a>"),
        rpc("<a message-id='&b;'/>"),
        rpc("<?b c?>"),
        rpc("<a>" + " " * 20 + "</a>"),
        rpc("<a>" + "\n" * 17 + "</a>"),
        rpc("<a message-id='>'><b/></a>"),
        rpc('<a message-id="\'"><b c="\'"/></a>'),
        rpc('<a>="</a><b/>="'),
        rpc("<a>= '</a><b/>'"),
        (GET % "</rpc><b/>").encode(),
        (GET % "&b;").encode(),
        b"<b>" + (GET % "1").encode(),
        rpc("<a message-id=\"<>\" b=''/>"),
        rpc("<a message-id='<>' b=''/>"),
        rpc("<a message-id='\"' b='' xml:lang='\"'/>"),
        b"<!DOCTYPE b><a/>",
    ],
)
def test_what_is_new_is_not_overlooked(document: bytes) -> None:
    vocabulary = exhausted()
    assert not vocabulary.admits(document)
    assert not vocabulary.admits(document)


@pytest.mark.parametrize(
    ("seen", "made_up"),
    [
        ("<rpc xmlns=\"%s\" message-id='1'><a/></rpc>", "urn:%d"),
        ("<rpc message-id='1'><a xmlns=\"%s\"/></rpc>", "urn:%d"),
        ("<rpc message-id='1'><a xmlns:message-id=\"%s\"/></rpc>", "urn:%d"),
        ("<rpc xmlns=' message-id=\"%s\"'><a/></rpc>", "urn:%d"),
        ("<rpc message-id='\"%s\"'/>", "' b%d='"),
        ('<rpc message-id="%s"/>', '1" b%d="'),
        ('<rpc message-id="%s"/>', "&b%d;"),
        ('<rpc><a> message-id="%s"</a></rpc>', "<b%d/>"),
    ],
)
def test_only_a_message_id_may_be_another_one(seen: str, made_up: str) -> None:
    vocabulary = Vocabulary(ROOM)
    assert vocabulary.admits((seen % "1").encode())
    assert not all(vocabulary.admits((seen % (made_up % number)).encode()) for number in range(ROOM // 64))


def test_what_is_refused_takes_no_room() -> None:
    vocabulary = Vocabulary(ROOM)
    assert not vocabulary.admits(rpc("".join(f"<b{number}/>" for number in range(ROOM))))
    assert vocabulary.admits((GET % "1").encode())


def test_a_long_namespace_is_no_small_thing() -> None:
    assert not Vocabulary(ROOM).admits(rpc(f"<a xmlns='{'b' * ROOM}'/>"))
