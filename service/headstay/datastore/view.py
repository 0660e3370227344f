"""What one requester may read, at one moment. Works in any thread: what it is made of is published and never changes.

What may be read is judged last: the default of a leaf that is hidden must not be shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from headstay.datastore import overlay
from headstay.datastore.defaults import BASIC_MODE, DefaultsMode, with_defaults
from headstay.datastore.nacm import Permissions
from headstay.datastore.operational import operational
from headstay.datastore.schema import SchemaNode


@dataclass(frozen=True, slots=True)
class View:
    """The datastores as one requester sees them. Each method costs time linear in the trees."""

    schema: SchemaNode
    running: etree._Element
    """The running configuration of that moment."""
    permissions: Permissions

    def config(self, tree: etree._Element, mode: DefaultsMode = BASIC_MODE) -> etree._Element:
        """Return a published tree as far as it may be read: the tree itself, or a new one."""
        return self.permissions.visible(with_defaults(self.schema, tree, mode))

    def with_state(self, *states: etree._Element, mode: DefaultsMode = BASIC_MODE) -> etree._Element:
        """Return running with trees of operational state laid over it, as a new tree (RFC 6241 section 7.7)."""
        tree = overlay.overlaid(self.schema, self.running, *states)
        tree = with_defaults(self.schema, tree, mode)
        self.permissions.hide(tree)
        return tree

    def operational(self, learned: etree._Element, *states: etree._Element, mode: DefaultsMode) -> etree._Element:
        """Return what is in use, with origins (RFC 8342 section 5.3), as a new tree."""
        tree = operational(self.schema, self.running, learned, *states, mode=mode)
        self.permissions.hide(tree)
        return tree
