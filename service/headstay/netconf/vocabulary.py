"""CORE: whether what a client has sent may be parsed where what it is made of is kept for good.

libxml2 keeps every name, prefix and namespace that it meets in a dictionary; lxml has one for each thread, as long as
that lives, and once it holds 100 MB nothing can be parsed there any more. So what clients make up is counted. Whoever
brings more than there is room for is parsed in a thread that ends afterwards, which takes a tenth of a millisecond
longer. Knows no XML but what stands where in it, and errs on the side of counting too much.
"""

from __future__ import annotations

import re
from typing import Final

MOST_OCTETS: Final = 4_000_000
"""Octets of words that are kept, with what each costs besides."""
_COST: Final = 64
"""Octets that a word costs besides its own."""
_MOST_SHAPES: Final = 256
_LARGEST_SHAPE: Final = 1024

# In well-formed XML no value holds a "<", and a quoted value in a tag follows a "=". Where that does not hold, the
# parser stops, and keeps nothing of what follows.
_VALUE = re.compile(rb"""=\s*(?:"[^"<]*"|'[^'<]*')""")
_TEXT = re.compile(rb">[^<>]*")
_NAMESPACE = re.compile(rb"""xmlns(?::[^\s=:<>]*)?\s*=\s*(?:"([^"<]*)"|'([^'<]*)')""")
_ENTITY = re.compile(rb"&([^\s;<&]+)")
_BLANK = re.compile(rb">(\s{16,})<")
_BETWEEN_NAMES: Final = bytes.maketrans(b"<>/=?!", b"      ")


class Vocabulary:
    """The words of all sessions."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._octets = 0
        self._known: set[bytes] = set()
        self._shapes: set[tuple[bytes, bytes]] = set()
        """What stands before and after the first value of documents that were admitted."""

    def admits(self, document: bytes) -> bool:
        """Return whether there is room for what this document is made of; it is kept then."""
        before, _, rest = document.partition(b'"')
        value, _, after = rest.partition(b'"')
        shape = before, after
        # Most requests differ from earlier ones in their message-id alone.
        if shape in self._shapes and b"<" not in value and b"&" not in value:
            return True
        new = _words(document) - self._known
        octets = sum(map(len, new)) + _COST * len(new)
        if self._octets + octets > self._most_octets:
            return False
        self._octets += octets
        self._known |= new
        if len(document) <= _LARGEST_SHAPE:
            if len(self._shapes) == _MOST_SHAPES:
                self._shapes.clear()
            self._shapes.add(shape)
        return True


def _words(document: bytes) -> set[bytes]:
    """Return what libxml2 may keep of a document: what stands in tags, namespaces, entities, white space."""
    in_tags = _TEXT.sub(b" ", _VALUE.sub(b" ", document))
    words = set(in_tags.translate(_BETWEEN_NAMES).split())
    words.update(one or other for one, other in _NAMESPACE.findall(document))
    words.update(_ENTITY.findall(document))
    words.update(_BLANK.findall(document))
    return words
