"""The session core: what a client may do to it, and what it answers. No socket, no clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import BOTH, NC, hello, tag
from headstay import xml
from headstay.errors import DataExists, DataMissing, RpcErrors
from headstay.netconf.framing import Deframer, Framing, frame
from headstay.netconf.limits import Limits
from headstay.netconf.messages import OK, Reply, read_message
from headstay.netconf.session import (
    LARGE,
    LAST_REPLY_WITHIN,
    MOST_AT_ONCE,
    TRANSITIONS,
    Session,
    State,
    UnexpectedInput,
)
from headstay.netconf.session_words import (
    CloseTransport,
    Effect,
    Execute,
    Input,
    Killed,
    Lost,
    Notified,
    Octets,
    Opened,
    Parse,
    Parsed,
    PeerClosed,
    Release,
    Replied,
    Reserve,
    Reserved,
    Revoked,
    Send,
    Subscribed,
    Termination,
    Tick,
    Unsubscribed,
)

GET = f'<rpc {NC} message-id="1"><get/></rpc>'.encode()
LARGE_GET = GET + b" " * (LARGE - len(GET))


class Talk:
    """A session after its hello, and what it sent since."""

    def __init__(self, *capabilities: str, **options: Any) -> None:
        self.framing = Framing.CHUNKED if BOTH[1] in (capabilities or BOTH) else Framing.END_OF_MESSAGE
        self.session = Session(1, BOTH, Limits(**options))
        self.reservations = 0
        self.session.handle(Opened(), 0)
        assert self.give(frame(hello(*(capabilities or BOTH)), Framing.END_OF_MESSAGE)) == []

    def give(self, octets: bytes) -> list[Effect]:
        return self.handle(Octets(octets))

    def handle(self, input: Input) -> list[Effect]:
        """What comes of an input. What is asked for a large message is granted at once."""
        effects = self.session.handle(input, 0)
        if Reserve() in effects:
            assert effects.pop() == Reserve()
            self.reservations += 1
            effects += self.session.handle(Reserved(), 0)
        self.reservations -= effects.count(Release())
        return [effect for effect in effects if effect != Release()]

    def say(self, *messages: bytes) -> list[Effect]:
        return self.give(b"".join(frame(message, self.framing) for message in messages))

    def replied(self, outcome: Any = OK) -> list[Effect]:
        return self.handle(Replied(outcome))

    def come_of(self, effect: Effect) -> list[Effect]:
        """What comes of an effect, once what is to be parsed elsewhere is."""
        return self.parsed(effect) if isinstance(effect, Parse) else [effect]

    def parsed(self, effect: Effect) -> list[Effect]:
        assert isinstance(effect, Parse)
        return self.handle(Parsed(read_message(effect.octets, effect.most_elements)))

    def read(self, effect: Effect) -> etree._Element:
        assert isinstance(effect, Send)
        deframer = Deframer()
        deframer.framing = self.framing
        [message] = deframer.receive(effect.octets)
        return etree.fromstring(message)


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


# hello


def test_the_server_speaks_first_and_both_then_use_chunks() -> None:
    session = Session(4, BOTH)
    [sent] = session.handle(Opened(), 0)
    assert isinstance(sent, Send)
    assert sent.octets.endswith(b"]]>]]>")
    assert b"<session-id>4</session-id>" in sent.octets
    talk = Talk()
    assert talk.session.client_capabilities == set(BOTH)
    assert kinds(talk.say(GET)) == [Execute]
    assert talk.replied() == [
        Send(frame(f'<rpc-reply {NC} message-id="1"><ok/></rpc-reply>'.encode(), Framing.CHUNKED))
    ]


@pytest.mark.parametrize("announced", [(BOTH[0],), (BOTH[0], "urn:x")])
def test_without_base_1_1_on_both_ends_messages_end_by_a_delimiter(announced: tuple[str, ...]) -> None:
    talk = Talk(*announced)
    assert kinds(talk.say(GET)) == [Execute]
    [sent] = talk.replied()
    assert isinstance(sent, Send)
    assert sent.octets.endswith(b"</rpc-reply>]]>]]>")


def test_hello_and_first_rpc_may_come_in_one_read() -> None:
    session = Session(1, BOTH)
    session.handle(Opened(), 0)
    octets = frame(hello(*BOTH), Framing.END_OF_MESSAGE) + frame(GET, Framing.CHUNKED)
    assert kinds(session.handle(Octets(octets), 0)) == [Execute]


@pytest.mark.parametrize("message", [hello(), b"<hello", GET, hello(BOTH[0]).replace(b"</h", b"<session-id/></h")])
def test_a_bad_hello_ends_the_session_without_a_word(message: bytes) -> None:
    session = Session(1, BOTH)
    session.handle(Opened(), 0)
    assert kinds(session.handle(Octets(frame(message, Framing.END_OF_MESSAGE)), 0)) == [CloseTransport]
    assert session.termination is Termination.BAD_HELLO
    assert session.counters.in_bad_rpcs == 0


def test_a_client_has_thirty_seconds_for_its_hello() -> None:
    session = Session(1, BOTH)
    assert session.deadline() is None
    session.handle(Opened(), 100)
    assert session.deadline() == 130
    assert session.handle(Tick(), 129.9) == []
    assert kinds(session.handle(Tick(), 130)) == [CloseTransport]
    assert session.termination is Termination.TIMEOUT


def test_an_idle_session_ends_once_its_time_is_over() -> None:
    talk = Talk(idle_timeout=100)
    session = talk.session
    assert session.deadline() == 100
    session.handle(Octets(frame(GET, Framing.CHUNKED)), 50)
    assert session.deadline() is None  # an rpc that runs is not idle, however long it takes
    assert session.handle(Tick(), 500) == []
    session.handle(Replied(OK), 600)
    assert session.deadline() == 700
    assert session.handle(Tick(), 699) == []
    assert kinds(session.handle(Tick(), 700)) == [CloseTransport]
    assert session.termination is Termination.TIMEOUT


def test_a_session_that_has_subscribed_may_be_idle() -> None:
    talk = Talk(idle_timeout=100)
    talk.session.handle(Subscribed(), 10)
    assert talk.session.deadline() is None
    assert talk.session.handle(Tick(), 1e9) == []


def test_a_session_whose_subscription_is_over_may_not_be_idle_for_ever() -> None:
    talk = Talk(idle_timeout=100)
    talk.session.handle(Subscribed(), 10)
    assert talk.session.handle(Unsubscribed(), 500) == []
    assert talk.session.deadline() == 600
    assert kinds(talk.session.handle(Tick(), 600)) == [CloseTransport]
    assert talk.session.termination is Termination.TIMEOUT


def test_a_slow_hello_gets_no_more_time() -> None:
    session = Session(1, BOTH, Limits(hello_timeout=30))
    session.handle(Opened(), 0)
    session.handle(Octets(b"<hello"), 29)
    assert kinds(session.handle(Tick(), 30)) == [CloseTransport]


def test_a_message_of_too_many_elements_is_refused_and_the_session_goes_on() -> None:
    talk = Talk(message_elements=1000)
    many = f'<rpc {NC} message-id="1"><get>{"<a/>" * 1000}</get></rpc>'.encode()
    [effect] = talk.say(many)
    assert tag(talk.read(effect)) == "malformed-message"
    assert kinds(talk.say(GET)) == [Execute]


def test_without_a_time_limit_an_idle_session_stays() -> None:
    talk = Talk(idle_timeout=0)
    assert talk.session.deadline() is None
    assert talk.session.handle(Tick(), 1e9) == []


# rpcs


def test_rpcs_run_one_after_the_other_and_replies_keep_their_order() -> None:
    talk = Talk()
    first, second = GET, GET.replace(b'"1"', b'"2"')
    assert kinds(talk.say(first, second, b"<x/>")) == [Execute]
    effects = talk.replied()
    assert kinds(effects) == [Send, Execute]
    assert talk.read(effects[0]).get("message-id") == "1"
    effects = talk.replied()
    assert kinds(effects) == [Send, Send]
    assert talk.read(effects[0]).get("message-id") == "2"
    assert tag(talk.read(effects[1])) == "unknown-namespace"


def test_what_waits_is_bounded() -> None:
    talk = Talk()
    talk.say(GET)
    assert talk.session.wants_octets
    talk.give(b"\n#65536\n" + b" " * 65536)
    assert not talk.session.wants_octets
    talk.replied()
    assert talk.session.wants_octets


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"<rpc", "malformed-message"),
        (b"", "malformed-message"),
        (b"<!DOCTYPE rpc>" + GET, "malformed-message"),
        (b"\xff\xfe", "malformed-message"),
        (f"<rpc {NC}><get/></rpc>".encode(), "missing-attribute"),
        (hello(BOTH[0]), "unknown-element"),
    ],
)
def test_a_bad_message_is_answered_and_the_session_stays(message: bytes, expected: str) -> None:
    talk = Talk()
    octets = frame(message, Framing.CHUNKED) if message else b"\n#1\n \n##\n"
    [effect] = talk.give(octets)
    [sent] = talk.come_of(effect)
    assert tag(talk.read(sent)) == expected
    assert talk.read(sent).findtext(f"{{{xml.NETCONF}}}rpc-error/{{{xml.NETCONF}}}error-type") == "rpc"
    assert kinds(talk.say(GET)) == [Execute]
    counters = talk.session.counters
    assert (counters.in_rpcs, counters.in_bad_rpcs, counters.out_rpc_errors) == (1, 1, 1)


def test_malformed_message_is_for_base_1_1_only() -> None:
    talk = Talk(BOTH[0])
    [effect] = talk.say(b"<rpc")
    [sent] = talk.come_of(effect)
    assert tag(talk.read(sent)) == "operation-failed"
    assert kinds(talk.say(GET)) == [Execute]


def test_white_space_and_a_declaration_before_a_message_do_no_harm() -> None:
    talk = Talk(BOTH[0])
    assert kinds(talk.say(b'\n <?xml version="1.0" encoding="UTF-8"?>\n' + GET + b"\n")) == [Execute]


def test_errors_become_rpc_errors_and_count_once_a_reply() -> None:
    talk = Talk()
    talk.say(GET)
    [sent] = talk.replied(RpcErrors([DataExists("a"), DataMissing("b")]))
    assert len(talk.read(sent)) == 2
    assert talk.read(sent).get("message-id") == "1"
    assert talk.session.counters.out_rpc_errors == 1


def test_wrong_framing_ends_the_session_after_what_came_before() -> None:
    talk = Talk()
    assert kinds(talk.give(frame(GET, Framing.CHUNKED) + b"rubbish")) == [Execute]
    assert kinds(talk.replied()) == [Send, CloseTransport]
    assert talk.session.termination is Termination.DROPPED


def test_a_message_too_big_is_said_so_and_ends_the_session() -> None:
    talk = Talk(message_octets=1000)
    effects = talk.give(b"\n#1001\n")
    assert kinds(effects) == [Send, CloseTransport]
    assert tag(talk.read(effects[0])) == "too-big"


# large messages


def test_a_large_message_is_handed_out_to_be_parsed_and_a_smaller_one_is_not() -> None:
    talk = Talk()
    assert kinds(talk.say(LARGE_GET[:-1])) == [Execute]
    talk.replied()
    [parse] = talk.say(LARGE_GET)
    assert parse == Parse(LARGE_GET, Limits().message_elements)
    assert talk.session.state is State.PARSING
    assert kinds(talk.parsed(parse)) == [Execute]
    assert talk.read(talk.replied()[0]).get("message-id") == "1"
    assert (talk.session.counters.in_rpcs, talk.session.counters.in_bad_rpcs) == (2, 0)


def test_while_a_message_is_parsed_everything_else_waits_in_its_order() -> None:
    talk = Talk()
    [parse] = talk.say(LARGE_GET, b"<x/>", GET.replace(b'"1"', b'"2"'))
    assert talk.say(GET.replace(b'"1"', b'"3"')) == []
    assert kinds(talk.parsed(parse)) == [Execute]
    first, wrong, execute = talk.replied()
    assert talk.read(first).get("message-id") == "1"
    assert tag(talk.read(wrong)) == "unknown-namespace"
    assert kinds([execute]) == [Execute]
    second, execute = talk.replied()
    assert (talk.read(second).get("message-id"), type(execute)) == ("2", Execute)
    assert talk.read(talk.replied()[0]).get("message-id") == "3"


def test_a_large_message_that_is_wrong_is_answered_and_the_session_goes_on() -> None:
    talk = Talk(message_elements=1000)
    many = f'<rpc {NC} message-id="1"><get>{"<a/>" * 1000}</get></rpc>'.encode().ljust(LARGE)
    for wrong, told in ((b"<rpc" + b" " * LARGE, "malformed-message"), (many, "malformed-message")):
        [parse] = talk.say(wrong, GET)
        refusal, execute = talk.parsed(parse)
        assert tag(talk.read(refusal)) == told
        assert type(execute) is Execute
        talk.replied()
    assert (talk.session.counters.in_rpcs, talk.session.counters.in_bad_rpcs) == (2, 2)


def test_what_waits_while_a_message_is_parsed_is_bounded() -> None:
    talk = Talk()
    [parse] = talk.say(LARGE_GET)
    assert talk.session.wants_octets
    talk.give(b"\n#65536\n" + b" " * 65536)
    assert not talk.session.wants_octets
    talk.parsed(parse)
    talk.replied()
    assert talk.session.wants_octets


@pytest.mark.parametrize(
    ("ending", "termination"), [(Killed(), Termination.KILLED), (Lost(), Termination.DROPPED)], ids=["killed", "lost"]
)
def test_a_session_that_ends_while_a_message_is_parsed(ending: Input, termination: Termination) -> None:
    talk = Talk()
    [parse] = talk.say(LARGE_GET, GET)
    assert kinds(talk.session.handle(ending, 0)) == [CloseTransport]
    assert talk.parsed(parse) == []
    assert talk.session.termination is termination
    assert talk.session.counters.in_rpcs == 0


def test_a_client_that_stops_sending_while_its_message_is_parsed_gets_its_answer() -> None:
    talk = Talk()
    [parse] = talk.say(LARGE_GET)
    assert talk.session.handle(PeerClosed(), 0) == []
    assert kinds(talk.parsed(parse)) == [Execute]
    assert kinds(talk.replied()) == [Send, CloseTransport]
    talk = Talk()
    [parse] = talk.say(b"<x/>" + b" " * LARGE)
    assert talk.session.handle(PeerClosed(), 0) == []
    assert kinds(talk.parsed(parse)) == [Send, CloseTransport]


def test_a_session_whose_message_is_parsed_is_not_idle_however_long_that_takes() -> None:
    talk = Talk(idle_timeout=100)
    [parse] = talk.say(LARGE_GET)
    assert talk.session.deadline() is None
    assert talk.session.handle(Tick(), 500) == []
    assert isinstance(parse, Parse)
    wrong = read_message(b"<x/>", 1000)
    assert kinds(talk.session.handle(Parsed(wrong), 600)) == [Send, Release]
    assert talk.session.deadline() == 700


def test_a_flood_of_wrong_messages_lets_others_have_their_turn() -> None:
    talk = Talk()
    effects = talk.say(*[b"<x/>"] * (2 * MOST_AT_ONCE + 1))
    assert kinds(effects) == [Send] * MOST_AT_ONCE + [Parse]
    effects = talk.parsed(effects[-1])
    assert kinds(effects) == [Send] * (MOST_AT_ONCE + 1)
    assert talk.session.state is State.READY


def test_a_large_message_is_parsed_once_it_has_its_reservation_and_keeps_it_until_it_is_answered() -> None:
    talk = Talk()
    handle = talk.session.handle
    assert handle(Octets(frame(LARGE_GET, talk.framing) + frame(GET, talk.framing)), 0) == [Reserve()]
    assert talk.session.state is State.WAITING
    assert not talk.session.wants_octets
    assert talk.session.deadline() is None
    assert handle(Octets(frame(GET, talk.framing)), 0) == []
    [parse] = handle(Reserved(), 0)
    assert kinds(handle(Parsed(read_message(parse.octets, 1000)), 0)) == [Execute]
    assert kinds(handle(Replied(OK), 0)) == [Send, Release, Execute]
    assert kinds(handle(Replied(OK), 0)) == [Send, Execute]


def test_a_small_message_needs_no_reservation() -> None:
    talk = Talk()
    assert kinds(talk.session.handle(Octets(frame(LARGE_GET[:-1], talk.framing)), 0)) == [Execute]
    assert kinds(talk.session.handle(Replied(OK), 0)) == [Send]


@pytest.mark.parametrize("capability", BOTH)
def test_of_a_large_message_no_more_is_taken_in_before_its_reservation(capability: str) -> None:
    talk = Talk(capability, large_message_timeout=50)
    octets = frame(LARGE_GET * 2, talk.framing)
    assert talk.session.handle(Octets(octets[: LARGE - 1]), 0) == []
    assert talk.session.wants_octets
    assert talk.session.handle(Octets(octets[LARGE - 1 : LARGE + 100]), 0) == [Reserve()]
    assert not talk.session.wants_octets
    assert talk.session.handle(Reserved(), 100) == []
    assert talk.session.wants_octets
    assert talk.session.deadline() == 150
    assert kinds(talk.session.handle(Octets(octets[LARGE + 100 :]), 149)) == [Parse]
    assert talk.session.deadline() is None


def test_a_large_message_that_does_not_become_complete_in_time_ends_its_session() -> None:
    talk = Talk(large_message_timeout=50)
    octets = frame(LARGE_GET, talk.framing)
    assert talk.session.handle(Octets(octets[:-1]), 0) == [Reserve()]
    talk.session.handle(Reserved(), 100)
    talk.session.handle(Subscribed(), 100)
    talk.session.handle(Octets(octets[-1:-1]), 149)  # however slowly it comes
    assert talk.session.handle(Tick(), 149) == []
    assert talk.session.handle(Tick(), 150) == [CloseTransport("a large message is not complete in time")]
    assert talk.session.termination is Termination.TIMEOUT


def test_a_client_that_stops_sending_while_its_message_waits_for_its_reservation_gets_its_answer() -> None:
    talk = Talk()
    talk.session.handle(Octets(frame(LARGE_GET, talk.framing)), 0)
    assert talk.session.handle(PeerClosed(), 0) == []
    assert kinds(talk.session.handle(Reserved(), 0)) == [Parse]
    talk = Talk()
    talk.session.handle(Octets(frame(LARGE_GET, talk.framing)[:-1]), 0)
    assert talk.session.handle(PeerClosed(), 0) == []
    assert kinds(talk.session.handle(Reserved(), 0)) == [CloseTransport]


def test_a_hello_is_not_large() -> None:
    for octets, closes in ((1024, False), (1025, True)):
        session = Session(1, BOTH, Limits(hello_octets=1024))
        session.handle(Opened(), 0)
        given = frame(hello(*BOTH).ljust(octets), Framing.END_OF_MESSAGE)
        assert (kinds(session.handle(Octets(given), 0)) == [CloseTransport]) == closes
    talk = Talk(hello_octets=1024)
    assert kinds(talk.say(LARGE_GET)) == [Parse]  # an rpc may be larger


# the end


def test_close_session_is_answered_and_what_follows_is_ignored() -> None:
    talk = Talk()
    talk.say(GET, GET)
    assert kinds(talk.replied(Reply(b"<ok/>", ends_session=True))) == [Send, CloseTransport]
    assert talk.session.termination is Termination.CLOSED
    assert talk.say(GET) == []
    assert talk.session.handle(Lost(), 0) == []


def test_a_client_that_stops_sending_gets_its_answers() -> None:
    talk = Talk()
    talk.say(GET, GET)
    assert talk.session.handle(PeerClosed(), 0) == []
    assert kinds(talk.replied()) == [Send, Execute]
    assert kinds(talk.replied()) == [Send, CloseTransport]
    assert talk.session.termination is Termination.DROPPED


def test_a_client_that_goes_away_between_rpcs() -> None:
    talk = Talk()
    assert kinds(talk.session.handle(PeerClosed(), 0)) == [CloseTransport]


def test_killed_while_an_rpc_runs() -> None:
    talk = Talk()
    talk.say(GET)
    assert kinds(talk.session.handle(Killed(), 0)) == [CloseTransport]
    assert talk.session.termination is Termination.KILLED
    assert talk.replied() == []


def test_a_session_whose_user_is_no_more_answers_what_runs_and_begins_nothing_more() -> None:
    talk = Talk()
    talk.say(GET, GET)
    assert talk.session.handle(Revoked("removed"), 100) == []
    assert talk.session.deadline() == 100 + LAST_REPLY_WITHIN
    assert talk.session.handle(Tick(), 101.9) == []
    reply, close = talk.replied()
    assert talk.read(reply).get("message-id") == "1"
    assert close == CloseTransport("removed")
    assert talk.session.termination is Termination.OTHER


def test_its_reply_is_not_waited_for_any_longer_than_that() -> None:
    talk = Talk()
    talk.say(GET)
    talk.session.handle(Revoked("removed"), 100)
    assert talk.session.handle(Tick(), 102) == [CloseTransport("removed")]
    assert talk.session.termination is Termination.OTHER
    assert talk.replied() == []


@pytest.mark.parametrize("message", [b"", LARGE_GET], ids=["ready", "parsing"])
def test_without_an_rpc_that_runs_it_ends_at_once(message: bytes) -> None:
    talk = Talk()
    if message:
        talk.say(message)
    assert talk.session.handle(Revoked("removed"), 0) == [CloseTransport("removed")]
    assert talk.session.termination is Termination.OTHER


def test_a_lost_transport_gets_nothing_more() -> None:
    talk = Talk()
    talk.say(GET)
    assert kinds(talk.session.handle(Lost(), 0)) == [CloseTransport]
    assert talk.replied() == []
    assert talk.session.termination is Termination.DROPPED


# notifications


@pytest.mark.parametrize("capability", BOTH)
def test_a_notification_stands_between_messages(capability: str) -> None:
    talk = Talk(capability)
    message = b"<notification/>"
    assert talk.session.handle(Notified(message), 0) == [Send(frame(message, talk.framing))]
    talk.say(GET)
    assert talk.session.handle(Notified(message), 0) == [Send(frame(message, talk.framing))]
    [reply] = talk.replied()
    assert xml.local_name(talk.read(reply)) == "rpc-reply"
    assert talk.session.counters.out_notifications == 2


def test_a_session_that_is_over_is_sent_no_notification() -> None:
    talk = Talk()
    talk.session.handle(Lost(), 0)
    assert talk.session.handle(Notified(b"<notification/>"), 0) == []
    assert talk.session.counters.out_notifications == 0


# the table

INPUTS: dict[type, Input] = {
    Opened: Opened(),
    Octets: Octets(frame(GET, Framing.CHUNKED)),
    PeerClosed: PeerClosed(),
    Lost: Lost(),
    Reserved: Reserved(),
    Parsed: Parsed(read_message(GET, 1000)),
    Replied: Replied(OK),
    Killed: Killed(),
    Revoked: Revoked("removed"),
    Subscribed: Subscribed(),
    Notified: Notified(b"<notification/>"),
    Tick: Tick(),
    Unsubscribed: Unsubscribed(),
}
STEPS = st.lists(
    st.one_of(
        st.sampled_from([Opened(), PeerClosed(), Lost(), Replied(OK), Replied(DataExists("x")), Killed(), Tick()]),
        st.just(Revoked("removed")),
        st.sampled_from([Subscribed(), Notified(b"<notification/>")]),
        st.sampled_from([Reserved(), Parsed(read_message(GET, 1000)), Parsed(read_message(b"<x/>", 1000))]),
        st.binary(max_size=20).map(Octets),
        st.sampled_from([frame(hello(*BOTH), Framing.END_OF_MESSAGE), frame(GET, Framing.CHUNKED)]).map(Octets),
        st.sampled_from([frame(LARGE_GET, Framing.CHUNKED), frame(LARGE_GET, Framing.CHUNKED)[:-1]]).map(Octets),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_state_takes_every_input_or_says_that_it_cannot_be(steps: list[Input]) -> None:
    session = Session(1, BOTH)
    closings = reservations = 0
    for now, step in enumerate(steps):
        state = session.state
        try:
            effects = session.handle(step, now)
        except UnexpectedInput:
            assert (state, type(step)) not in TRANSITIONS
            assert session.state is state
            continue
        assert state is State.CLOSED or (state, type(step)) in TRANSITIONS
        closings += kinds(effects).count(CloseTransport)
        reservations += kinds(effects).count(Reserve) - kinds(effects).count(Release)
        assert reservations in (0, 1)
        for busy, begun in ((State.WAITING, Reserve), (State.RUNNING, Execute), (State.PARSING, Parse)):
            assert kinds(effects).count(begun) <= 1
            assert (session.state is busy) == (begun in kinds(effects) or session.state is state is busy)
        assert (session.state is State.CLOSED) == (session.termination is not None) == (closings == 1)
        assert state is not State.CLOSED or effects == []


def test_the_table_names_every_state_and_input_that_there_is() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.CLOSED}
    assert {kind for _, kind in TRANSITIONS} == set(INPUTS)
