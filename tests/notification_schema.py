"""Holds a notification against the model, by way of the YANG library: for tests, since the daemon only sends them."""

from __future__ import annotations

import functools
import json
from typing import Any
from xml.etree import ElementTree

from lxml import etree
from yangson import DataModel
from yangson.enumerations import ContentType, ValidationScope
from yangson.exceptions import SemanticError, YangsonException
from yangson.instance import RootNode
from yangson.instvalue import ObjectValue

from headstay.datastore.modules import module_directories
from models import device_model


@functools.cache
def _library() -> DataModel:
    described = [
        {
            "name": module.name,
            "revision": module.revision,
            "namespace": module.namespace,
            "conformance-type": "implement" if module.implemented else "import",
            "feature": list(module.features),
            "deviation": [{"name": name, "revision": ""} for name in module.deviations],
        }
        for module in device_model().modules
    ]
    text = json.dumps({"ietf-yang-library:modules-state": {"module-set-id": "t", "module": described}})
    return DataModel(text, [str(directory) for directory in module_directories()])


def violations(notification: etree._Element) -> list[str]:
    """Return what the model has against a notification, given by its content; nothing if it is right."""
    name = etree.QName(notification)
    module = next(module for module in device_model().modules if module.namespace == name.namespace)
    library = _library()
    node: Any = library.get_schema_node(f"/{module.name}:{name.localname}")
    if node is None:
        return [f"the model has no notification {name.localname}"]
    try:
        node._make_schema_patterns()  # the library makes them for the data tree only
        members = node.from_xml(ElementTree.fromstring(etree.tostring(notification)))
        value = ObjectValue({f"{module.name}:{member}": content for member, content in members.items()})
        RootNode(value, node, library.schema_data, value.timestamp).validate(ValidationScope.all, ContentType.all)
    except SemanticError as error:
        # The data that a target names stands in a datastore, or did until now.
        return [] if error.tag == "instance-required" else [f"SemanticError: {error}"]
    except YangsonException as error:
        return [f"{type(error).__name__}: {error}"]
    return []
