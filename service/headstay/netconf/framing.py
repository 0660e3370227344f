"""CORE: octets to messages and back (RFC 6242 sections 4.2 and 4.3).

Owns the two framings and the size of one message. Knows no XML and no session; whoever drives it says when the framing
changes. The cost is linear in the octets, wherever they are cut.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

from headstay.errors import HeadstayError

MOST_OCTETS = 16 * 1024 * 1024
"""Octets of the largest message that is taken in, unless a server says otherwise."""

_END_OF_MESSAGE = b"]]>]]>"
_END_OF_CHUNKS = b"\n##\n"
_LARGEST_CHUNK = 4_294_967_295
_LONGEST_HEADER = len(f"\n#{_LARGEST_CHUNK}\n")
# chunk = LF HASH chunk-size LF chunk-data; end-of-chunks = LF HASH HASH LF; chunk-size has no leading zero
_HEADER = re.compile(rb"\n#(?:([1-9][0-9]{0,9})|#)\n")
_START_OF_HEADER = re.compile(rb"\n?|\n#(?:[1-9][0-9]{0,9}|#)?")


class FramingError(HeadstayError):
    """The octets break the framing. Nothing after them can be trusted: the session ends (RFC 6242 section 4.2)."""


class MessageTooBig(FramingError):
    """A message is larger than this end takes in. What follows it cannot be found: the session ends."""


class Framing(enum.Enum):
    """How messages are told apart."""

    END_OF_MESSAGE = "]]>]]>"
    """RFC 6242 section 4.3: for hello, and for all of a base:1.0 session."""
    CHUNKED = "chunked"
    """RFC 6242 section 4.2: for base:1.1, after hello."""


def frame(message: bytes, framing: Framing) -> bytes:
    """Return the octets that carry one message."""
    if framing is Framing.END_OF_MESSAGE:
        return message + _END_OF_MESSAGE
    return b"\n#%d\n%b\n##\n" % (len(message), message)


class Deframer:
    """Octets in, complete messages out. Starts with end-of-message framing; set `framing` once hello is over."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        """`most_octets` bounds one message; a change holds from the next one on."""
        self.framing = Framing.END_OF_MESSAGE
        self.most_octets = most_octets
        self._buffer = bytearray()
        self._searched = 0
        """End-of-message framing: octets at the head of the buffer in which no delimiter starts."""
        self._message = bytearray()
        """Chunked framing: the chunks of the unfinished message."""
        self._missing = 0
        """Chunked framing: octets of the current chunk that have not come yet."""

    @property
    def pending(self) -> int:
        """Octets that were received and not taken out yet."""
        return len(self._buffer)

    @property
    def held(self) -> int:
        """Octets that are kept, those of the unfinished message included."""
        return len(self._buffer) + len(self._message)

    def receive(self, octets: bytes) -> Iterator[bytes]:
        """Take in octets and return the messages that are complete now.

        The iterator is lazy: a change of `framing` between two messages holds from the next one on, and what is not
        taken stays for later. It raises FramingError when it comes to octets that break the framing.
        """
        self._buffer += octets
        return self.messages()

    def messages(self) -> Iterator[bytes]:
        """Return the complete messages that wait, as `receive` does."""
        while self._buffer and (message := self._next()) is not None:
            yield message

    def _next(self) -> bytes | None:
        if self.framing is Framing.END_OF_MESSAGE:
            return self._next_delimited()
        return self._next_chunked()

    def _next_delimited(self) -> bytes | None:
        end = self._buffer.find(_END_OF_MESSAGE, self._searched)
        # The last octets may be the start of a delimiter.
        least = len(self._buffer) - len(_END_OF_MESSAGE) + 1 if end < 0 else end
        if least > self.most_octets:
            raise self._too_big()
        if end < 0:
            self._searched = max(0, least)
            return None
        self._searched = 0
        message = self._take(end)
        self._take(len(_END_OF_MESSAGE))
        return message

    def _next_chunked(self) -> bytes | None:
        if not self._missing and not self._message and (whole := self._only_chunk()) is not None:
            return whole
        while True:
            if self._missing:
                data = self._take(min(self._missing, len(self._buffer)))
                self._message += data
                self._missing -= len(data)
                if self._missing:
                    return None
            header = _HEADER.match(self._buffer)
            if header is None:
                self._check_start_of_header()
                return None
            size = header[1]
            if size is None:
                self._take(len(_END_OF_CHUNKS))
                return self._finish_chunked()
            self._take(len(size) + len(b"\n#\n"))
            self._start_chunk(int(size))

    def _only_chunk(self) -> bytes | None:
        """Take a message that is here from end to end in one chunk, as almost every request is."""
        header = _HEADER.match(self._buffer)
        if header is None or (size := header[1]) is None:
            return None
        start = header.end()
        end = start + int(size)
        if end - start > self.most_octets or not self._buffer.startswith(_END_OF_CHUNKS, end):
            return None
        message = bytes(self._buffer[start:end])
        del self._buffer[: end + len(_END_OF_CHUNKS)]
        return message

    def _check_start_of_header(self) -> None:
        if not _START_OF_HEADER.fullmatch(self._buffer[:_LONGEST_HEADER]):
            raise FramingError("a chunk does not start with a valid header")

    def _start_chunk(self, size: int) -> None:
        if size > _LARGEST_CHUNK:
            raise FramingError(f"a chunk of {size} octets is larger than the protocol allows")
        if len(self._message) + size > self.most_octets:
            raise self._too_big()
        self._missing = size

    def _finish_chunked(self) -> bytes:
        if not self._message:
            raise FramingError("a message has no chunk")
        message = bytes(self._message)
        self._message.clear()
        return message

    def _take(self, count: int) -> bytes:
        # Deleting at the head of a bytearray moves its start and copies nothing.
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def _too_big(self) -> MessageTooBig:
        return MessageTooBig(f"a message is larger than the {self.most_octets} octets that are accepted")
