"""A whole NETCONF server without a network: whatever a client sends is answered, and is nobody else's affair."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import BOTH, CLOUD, MOMENT, NC, USERS, MemoryChannel, hello, make_datastores, some_state, tag
from headstay import xml
from headstay.datastore.access import Access, Source
from headstay.netconf.connection import Connection
from headstay.netconf.framing import Deframer, Framing, FramingError, frame
from headstay.netconf.limits import Limits
from headstay.netconf.operations.monitoring import SSH
from headstay.netconf.session import State
from headstay.netconf.sessions import Peer, Service, Sessions
from models import device_model
from mutations import damaged

NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DATASTORES = "urn:ietf:params:xml:ns:yang:ietf-datastores"
EDIT = "<edit-config><target><%s/></target><config>%s</config></edit-config>"
CLOUD_EDIT = (
    f'<cloud-management xmlns="{xml.HCM}" xmlns:nc="{xml.NETCONF}" xmlns:h="{xml.HCM}"'
    ' xmlns:yang="urn:ietf:params:xml:ns:yang:1">%s</cloud-management>'
)
SERVER = "<server><port nc:operation='replace'>1</port></server><keepalive-interval>10</keepalive-interval>"
BACKUP = '<backup-server yang:insert="before" yang:key="[h:domain=\'b1.example\']"><domain>c.a</domain></backup-server>'
RULE = (
    f'<nacm xmlns="{xml.NACM}" xmlns:h="{xml.HCM}"><rule-list><name>a</name><group>*</group><rule><name>b</name>'
    "<path>/h:cloud-management/h:backup-server[h:domain='b1.example']/h:port</path><action>deny</action></rule>"
    "</rule-list></nacm>"
)
USER = (
    f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>x</name>'
    f"<password>$6$rounds=5000$salt${'a' * 86}</password></user></authentication></system>"
)
SUBTREE = (
    f"<filter type='subtree'><cloud-management xmlns='{xml.HCM}'><server><domain/></server></cloud-management></filter>"
)
XPATH = f"<filter xmlns:h='{xml.HCM}' type='xpath' select='//h:port'/>"
SCHEMA = "<identifier>headstay-cloud-management</identifier><version/><format>yang</format>"
IN_USE = "<datastore>ds:operational</datastore><max-depth>2</max-depth><with-origin/>"
OPERATIONS = (
    f"<get>{SUBTREE}</get>",
    f"<get-config><source><running/></source>{XPATH}</get-config>",
    EDIT % ("candidate", CLOUD_EDIT % SERVER),
    EDIT % ("running", CLOUD_EDIT % "<enabled>false</enabled><server nc:operation='delete'/>"),
    EDIT % ("candidate", CLOUD_EDIT % BACKUP),
    EDIT % ("candidate", RULE),
    EDIT % ("candidate", USER),
    "<copy-config><target><candidate/></target><source><running/></source></copy-config>",
    f"<validate><source><config><cloud-management xmlns='{xml.HCM}'/></config></source></validate>",
    "<commit/>",
    "<commit><confirmed/><confirm-timeout>60</confirm-timeout><persist>mine</persist></commit>",
    "<cancel-commit><persist-id>mine</persist-id></cancel-commit>",
    "<discard-changes/>",
    "<lock><target><candidate/></target></lock>",
    "<unlock><target><candidate/></target></unlock>",
    "<kill-session><session-id>77</session-id></kill-session>",
    f"<get-schema xmlns='{xml.MONITORING}'>{SCHEMA}</get-schema>",
    f"<get-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'>{IN_USE}</get-data>",
    f"<edit-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:candidate</datastore><config/></edit-data>",
    f"<reconnect xmlns='{xml.HCM}'/>",
)
RPCS = tuple(f'<rpc {NC} message-id="{n}" xmlns:w="urn:w" w:a="b">{o}</rpc>'.encode() for n, o in enumerate(OPERATIONS))
QUESTION = f'<rpc {NC} message-id="question"><get-config><source><running/></source></get-config></rpc>'.encode()
MESSAGES = st.lists(st.one_of(damaged(RPCS), damaged(RPCS), st.binary(min_size=1, max_size=50)), min_size=1, max_size=4)


class Server:
    """A server, and what its clients have been sent."""

    def __init__(self, access: Access | None = None) -> None:
        datastores = make_datastores(CLOUD, USERS, access=access)
        limits = Limits(message_octets=65_536, message_elements=1_000)
        self._sessions = Sessions(Service(datastores, some_state, lambda: MOMENT), limits)

    def open(self, user: str) -> Client:
        channel = MemoryChannel()
        connection = self._sessions.open(Peer(user, Source.DIRECT, SSH), channel)
        connection.received(frame(hello(*BOTH), Framing.END_OF_MESSAGE))
        channel.written = b""
        return Client(connection, channel)


class Client:
    """One session of a server."""

    def __init__(self, connection: Connection, channel: MemoryChannel) -> None:
        self._connection = connection
        self._channel = channel

    @property
    def open(self) -> bool:
        return self._connection.session.state is not State.CLOSED

    async def say(self, octets: bytes) -> list[bytes]:
        """Send octets as they are; return the messages that come back."""
        self._channel.written = b""
        self._connection.received(octets)
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*running)
        deframer = Deframer()
        deframer.framing = Framing.CHUNKED
        return list(deframer.receive(self._channel.written))

    async def ask(self, message: bytes) -> list[bytes]:
        return await self.say(frame(message, Framing.CHUNKED))


def check_reply(octets: bytes) -> etree._Element:
    reply = etree.fromstring(octets)
    assert reply.tag == f"{{{xml.NETCONF}}}rpc-reply"
    assert b"internal error" not in octets
    return reply


async def check_answers(messages: Sequence[bytes]) -> None:
    client = Server().open("admin")
    for message in messages:
        replies = await client.ask(message)
        assert len(replies) == 1
        check_reply(replies[0])
        if not client.open:
            assert b"close-session" in message
            return
    [reply] = await client.ask(QUESTION)
    assert check_reply(reply).get("message-id") == "question"
    assert tag(check_reply(reply)) is None


@settings(deadline=None)
@given(MESSAGES)
def test_every_message_is_answered_and_the_session_goes_on(messages: list[bytes]) -> None:
    asyncio.run(check_answers(messages))


async def check_octets(octets: bytes) -> None:
    client = Server().open("admin")
    for reply in await client.say(octets):
        check_reply(reply)
    deframer = Deframer(65_536)
    deframer.framing = Framing.CHUNKED
    try:
        complete = list(deframer.receive(octets))
    except FramingError:
        assert not client.open
    else:
        assert client.open or any(b"close-session" in message for message in complete)


@settings(deadline=None)
@given(damaged([b"".join(frame(rpc, Framing.CHUNKED) for rpc in pair) for pair in pairwise(RPCS)]))
def test_octets_of_any_framing_are_answered_or_end_the_session(octets: bytes) -> None:
    asyncio.run(check_octets(octets))


async def check_silence(messages: Sequence[bytes]) -> None:
    """`guest` may change nothing, so nothing that this user sends may change what `admin` is told."""
    untouched = await Server(Access(device_model())).open("guest").ask(QUESTION)
    server = Server(Access(device_model()))
    noisy, quiet = server.open("guest"), server.open("guest")
    for message in messages:
        await noisy.ask(message)
        if not noisy.open:
            break
        assert await quiet.ask(QUESTION) == untouched
        # A prefix that the other has declared means nothing here.
        by_prefix = QUESTION.replace(b"</source>", b"</source><filter type='xpath' select='/w:a'/>")
        [refusal] = await quiet.ask(by_prefix)
        assert tag(check_reply(refusal)) == "invalid-value"


@settings(deadline=None, max_examples=50)
@given(MESSAGES)
def test_nothing_of_one_session_shows_in_another(messages: list[bytes]) -> None:
    asyncio.run(check_silence(messages))
