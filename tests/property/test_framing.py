"""RFC 6242: octets cut anywhere give the same messages, and no octets at all make the deframer do anything else than
give messages or raise FramingError.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headstay.netconf.framing import Deframer, Framing, FramingError, frame

FRAMINGS = st.sampled_from(Framing)
MESSAGES = st.lists(st.binary(min_size=1, max_size=60).filter(lambda m: b"]]>" not in m and m[-1:] != b"]"), max_size=5)
# Octets of which framings are made: random ones would almost never be interesting.
ALPHABET = st.sampled_from([b"\n", b"#", b"0", b"1", b"2", b"9", b"]", b">", b"<a/>", b"]]>]]>", b"\n#1\nx", b"\n##\n"])


def deframed(octets: bytes, cuts: list[int], framing: Framing, most_octets: int = 1000) -> list[bytes] | str:
    deframer = Deframer(most_octets)
    deframer.framing = framing
    edges = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    messages: list[bytes] = []
    try:
        for start, end in pairwise(edges):
            messages.extend(deframer.receive(octets[start:end]))
    except FramingError as error:
        return f"{messages} then {error}"
    return messages


@given(MESSAGES, FRAMINGS, st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_come_out_as_they_went_in_wherever_they_are_cut(
    messages: list[bytes], framing: Framing, cuts: list[int]
) -> None:
    octets = b"".join(frame(message, framing) for message in messages)
    assert deframed(octets, cuts, framing) == messages


@given(MESSAGES, st.data())
def test_a_message_in_many_chunks_is_one_message(messages: list[bytes], data: st.DataObject) -> None:
    octets = b""
    for message in messages:
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(message) - 1)), max_size=4)))
        for start, end in pairwise([0, *(c for c in cuts if c < len(message)), len(message)]):
            octets += b"\n#%d\n%b" % (end - start, message[start:end])
        octets += b"\n##\n"
    assert deframed(octets, [], Framing.CHUNKED) == messages


@given(st.lists(ALPHABET, max_size=12), FRAMINGS, st.lists(st.integers(0, 100), max_size=8), st.integers(1, 20))
@example([b"\n", b"#", b"1", b"\n"], Framing.CHUNKED, [1, 2, 3], 10)
def test_any_octets_give_the_same_however_they_are_cut(
    pieces: list[bytes], framing: Framing, cuts: list[int], most_octets: int
) -> None:
    octets = b"".join(pieces)
    each = list(range(len(octets)))
    whole = deframed(octets, [], framing, most_octets)
    assert deframed(octets, cuts, framing, most_octets) == whole
    assert deframed(octets, each, framing, most_octets) == whole


@given(MESSAGES.filter(bool), st.lists(st.integers(0, 10_000), max_size=20))
def test_the_framing_may_change_between_two_messages_of_one_read(messages: list[bytes], cuts: list[int]) -> None:
    octets = frame(b"hello", Framing.END_OF_MESSAGE) + b"".join(frame(m, Framing.CHUNKED) for m in messages)
    deframer = Deframer()
    found = []
    edges = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    for start, end in pairwise(edges):
        for message in deframer.receive(octets[start:end]):
            deframer.framing = Framing.CHUNKED
            found.append(message)
    assert found == [b"hello", *messages]


@pytest.mark.parametrize("framing", Framing)
def test_one_octet_at_a_time_costs_no_more_than_linear_time(framing: Framing) -> None:
    # Quadratic cost would make this take minutes instead of a second.
    message = b"x" * 100_000
    deframer = Deframer()
    deframer.framing = framing
    octets = frame(message, framing)
    assert [m for i in range(len(octets)) for m in deframer.receive(octets[i : i + 1])] == [message]
