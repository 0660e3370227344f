"""RFC 6242 section 4, case by case."""

from __future__ import annotations

import pytest

from headstay.netconf.framing import Deframer, Framing, FramingError, MessageTooBig, frame


def chunked(most_octets: int = 1000) -> Deframer:
    deframer = Deframer(most_octets)
    deframer.framing = Framing.CHUNKED
    return deframer


def test_the_example_of_the_rfc() -> None:
    octets = b'\n#4\n<rpc\n#18\n message-id="102"\n\n#79\n' + b"x" * 79 + b"\n##\n"
    assert list(chunked().receive(octets)) == [b'<rpc message-id="102"\n' + b"x" * 79]


def test_what_is_sent_is_one_chunk() -> None:
    assert frame(b"<a/>", Framing.CHUNKED) == b"\n#4\n<a/>\n##\n"
    assert frame(b"<a/>", Framing.END_OF_MESSAGE) == b"<a/>]]>]]>"


def test_end_of_message_framing_is_the_first() -> None:
    assert list(Deframer().receive(b"<hello/>]]>]]>\n<a/>]]>]]>rest")) == [b"<hello/>", b"\n<a/>"]


def test_the_delimiter_of_the_other_framing_is_content() -> None:
    assert list(chunked().receive(b"\n#6\n]]>]]>\n##\n")) == [b"]]>]]>"]


@pytest.mark.parametrize(
    "octets",
    [
        b"#4\n<a/>",
        b"\n\n#4\n<a/>",
        b"\n#0\n",
        b"\n#04\n<a/>",
        b"\n#4294967296\n",
        b"\n#99999999999\n",
        b"\n#-1\n",
        b"\n#x",
        b"\n# 4\n",
        b"\n#4\r\n",
        b"\n##\n",
        b"\n#4\n<a/>\n#",
        b"\n#4\n<a/>x",
        b"<rpc/>]]>]]>",
    ],
)
def test_a_wrong_header_is_an_error_as_soon_as_it_shows(octets: bytes) -> None:
    deframer = chunked()
    if octets.endswith(b"\n#"):
        assert list(deframer.receive(octets)) == []
    else:
        with pytest.raises(FramingError):
            list(deframer.receive(octets))


def test_what_came_before_the_error_is_a_message_still() -> None:
    messages = chunked().receive(b"\n#4\n<a/>\n##\nrubbish")
    assert next(messages) == b"<a/>"
    with pytest.raises(FramingError):
        next(messages)


@pytest.mark.parametrize("octets", [b"\n#11\n", b"\n#6\n<a/>  \n#5\n", b"\n#4294967295\n"])
def test_a_chunked_message_over_the_limit_is_refused_before_it_is_read(octets: bytes) -> None:
    with pytest.raises(MessageTooBig):
        list(chunked(10).receive(octets))


def test_a_delimited_message_over_the_limit_is_refused_before_it_ends() -> None:
    assert list(Deframer(10).receive(b"x" * 10 + b"]]>]]>")) == [b"x" * 10]
    with pytest.raises(MessageTooBig):
        list(Deframer(10).receive(b"x" * 16))
    with pytest.raises(MessageTooBig):
        list(Deframer(10).receive(b"x" * 11 + b"]]>]]>"))


def test_pending_counts_what_was_not_taken() -> None:
    deframer = chunked()
    messages = deframer.receive(b"\n#4\n<a/>\n##\n\n#4\n<b/>\n##\n")
    next(messages)
    assert deframer.pending == len(b"\n#4\n<b/>\n##\n")
    assert list(deframer.messages()) == [b"<b/>"]
    assert deframer.pending == 0
