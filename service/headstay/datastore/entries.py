"""Where an element stands among its siblings: schema order, list entries by key, places in user-ordered lists.

Works on a tree that one edit is building, and keeps indexes for as long as that edit runs, so that an edit of n entries
costs O(n). Knows no operations and no errors.
"""

from __future__ import annotations

from lxml import etree

from headstay.datastore.schema import Kind, SchemaNode

Key = tuple[str, ...]


def key_of(node: SchemaNode, element: etree._Element) -> Key:
    """Return what names an entry among its siblings: a list's key values, a leaf-list's value."""
    if node.kind is Kind.LEAF_LIST:
        return (element.text or "",)
    return tuple(element.findtext(tag) or "" for tag in node.key_tags)


class Siblings:
    """Finds, inserts and removes children during one edit."""

    def __init__(self) -> None:
        # Elements as keys also keep their proxies alive, so that identity holds for as long as the edit runs.
        self._entries: dict[tuple[etree._Element, str], dict[Key, etree._Element]] = {}
        self._first: dict[tuple[etree._Element, str], etree._Element] = {}
        self._last: dict[tuple[etree._Element, str], etree._Element] = {}

    def entry(self, parent: etree._Element, node: SchemaNode, key: Key) -> etree._Element | None:
        """Return the entry of a list or leaf-list with this key."""
        return self._index(parent, node).get(key)

    def append(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        """Insert a new child in schema order, after those of its own kind."""
        last = self._last.get((parent, node.tag))
        if last is None or last.getparent() is not parent:
            last = _last_not_after(parent, node)
        if last is None:
            parent.insert(0, child)
        else:
            last.addnext(child)
        self._last[parent, node.tag] = child
        self._remember(parent, node, child)

    def prepend(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        """Insert or move an entry before all others of its list."""
        first = self._first.get((parent, node.tag))
        if first is None or first.getparent() is not parent:
            first = parent.find(node.tag)
        if first is None:
            self.append(parent, node, child)
        else:
            self.insert(parent, node, child, first, after=False)
        self._first[parent, node.tag] = child

    def insert(
        self, parent: etree._Element, node: SchemaNode, child: etree._Element, at: etree._Element, *, after: bool
    ) -> None:
        """Insert or move an entry right before or after another one of its list."""
        if at is child:
            return
        self._leaves_its_place(parent, node, child)
        (at.addnext if after else at.addprevious)(child)
        ends = self._last if after else self._first
        if ends.get((parent, node.tag)) is at:
            ends[parent, node.tag] = child
        self._remember(parent, node, child)

    def move_last(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        """Insert or move an entry after all others of its list."""
        if child.getparent() is parent:
            self._leaves_its_place(parent, node, child)
            parent.remove(child)
        self.append(parent, node, child)

    def remove(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        """Remove a child."""
        self._leaves_its_place(parent, node, child)
        parent.remove(child)
        index = self._entries.get((parent, node.tag))
        if index is not None:
            index.pop(key_of(node, child), None)

    def clear(self, parent: etree._Element, keep: tuple[str, ...] = ()) -> None:
        """Remove all children but those with a tag in `keep`."""
        for child in list(parent):
            if child.tag not in keep:
                parent.remove(child)
                self._entries.pop((parent, child.tag), None)

    def _leaves_its_place(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        """Let its neighbours take a place at an end of the list, so that nobody has to look for them."""
        place = parent, node.tag
        for ends, neighbour in ((self._first, child.getnext()), (self._last, child.getprevious())):
            if ends.get(place) is child:
                if neighbour is not None and neighbour.tag == node.tag:
                    ends[place] = neighbour
                else:
                    del ends[place]

    def _remember(self, parent: etree._Element, node: SchemaNode, child: etree._Element) -> None:
        if (parent, node.tag) in self._entries:
            self._entries[parent, node.tag][key_of(node, child)] = child

    def _index(self, parent: etree._Element, node: SchemaNode) -> dict[Key, etree._Element]:
        index = self._entries.get((parent, node.tag))
        if index is None:
            index = {key_of(node, child): child for child in parent.iterchildren(node.tag)}
            self._entries[parent, node.tag] = index
        return index


def _last_not_after(parent: etree._Element, node: SchemaNode) -> etree._Element | None:
    """Return the last child that schema order does not place after `node`."""
    order = node.parent.order if node.parent is not None else {}
    place = order[node.tag]
    for sibling in parent.iterchildren(reversed=True):
        if order[sibling.tag] <= place:
            return sibling
    return None
