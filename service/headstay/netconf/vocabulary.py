"""CORE: whether what a client has sent may be parsed where what it is made of is kept for good.

libxml2 keeps every name, prefix and namespace that it meets in a dictionary; lxml has one for each thread, as long as
that lives, and once it holds 100 MB nothing can be parsed there any more. So what clients make up is counted. Whoever
brings more than there is room for is parsed in a thread that ends afterwards, which takes a tenth of a millisecond
longer. So is what is not well-formed: libxml2 goes on after many an error, and nobody can tell what it keeps then.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

MOST_OCTETS: Final = 4_000_000
"""Octets of words that are kept, with what each costs besides."""
_COST: Final = 64
"""Octets that a word costs besides its own."""
_MOST_SHAPES: Final = 256
_LARGEST_SHAPE: Final = 1024

_ID = re.compile(rb"[\w.:+-]*", re.ASCII).fullmatch
_BLANK = re.compile(rb">(\s{16,})<")
"""White space that libxml2 keeps like a name; it keeps no shorter one."""


class Vocabulary:
    """The words of all sessions."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._octets = 0
        self._known: set[str | bytes] = set()
        self._shapes: set[tuple[bytes, bytes]] = set()
        """What stands before and after the message-id of documents that were admitted."""

    def admits(self, document: bytes) -> bool:
        """Return whether there is room for what this document is made of; it is kept then."""
        # Most requests differ from earlier ones in their message-id alone. That this is what stands in the first
        # quotation marks must be certain: no other ones before, and nothing in them that could end a value.
        before, _, rest = document.partition(b'"')
        message_id, _, after = rest.partition(b'"')
        shape = before, after
        if shape in self._shapes and _ID(message_id):
            return True
        words = _words(document.strip())
        if words is None:
            return False
        new = words - self._known
        octets = sum(map(len, new)) + _COST * len(new)
        if self._octets + octets > self._most_octets:
            return False
        self._octets += octets
        self._known |= new
        if before.endswith(b" message-id=") and b"'" not in before and len(document) <= _LARGEST_SHAPE:
            if len(self._shapes) == _MOST_SHAPES:
                self._shapes.clear()
            self._shapes.add(shape)
        return True


def _words(document: bytes) -> set[str | bytes] | None:
    """Return what libxml2 keeps of a document; None if it is not well-formed, or has a document type."""
    words: set[str | bytes] = set(_BLANK.findall(document))
    parser = expat.ParserCreate("utf-8")

    def element(name: str, attributes: dict[str, str]) -> None:
        words.add(name)
        words.update(attributes)
        words.update(value for attribute, value in attributes.items() if attribute.startswith("xmlns"))

    def instruction(target: str, _: str) -> None:
        words.add(target)

    parser.StartElementHandler = element
    parser.ProcessingInstructionHandler = instruction
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError):
        return None
    return None if b"<!DOCTYPE" in document else words
