"""What the server says it can do (RFC 6241 section 8): a URI stands here while it is true.

Owns the list that <hello> and ietf-netconf-monitoring share. Modules of YANG 1.1 are found through yang-library (RFC
7950 section 5.6.4), those of YANG 1 stand in the list too (RFC 6020 section 5.6.4). Knows no session.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import quote

from headstay.datastore.modules import Module
from headstay.datastore.name import Name
from headstay.netconf import yang_library
from headstay.netconf.messages import BASE_1_0, BASE_1_1
from headstay.netconf.operations import nmda, with_defaults

_CAPABILITY = "urn:ietf:params:netconf:capability:"


def capabilities(modules: Sequence[Module], datastores: Collection[Name]) -> tuple[str, ...]:
    """Return the URIs for <hello> and for ietf-netconf-monitoring: the protocol's, then one for each YANG 1 module."""
    startup = [f"{_CAPABILITY}startup:1.0"] if Name.STARTUP in datastores else []
    return (
        BASE_1_0,
        BASE_1_1,
        f"{_CAPABILITY}writable-running:1.0",
        f"{_CAPABILITY}candidate:1.0",
        f"{_CAPABILITY}confirmed-commit:1.0",
        f"{_CAPABILITY}confirmed-commit:1.1",
        f"{_CAPABILITY}rollback-on-error:1.0",
        f"{_CAPABILITY}validate:1.0",
        f"{_CAPABILITY}validate:1.1",
        f"{_CAPABILITY}xpath:1.0",
        with_defaults.CAPABILITY,
        nmda.OPERATIONAL_DEFAULTS,
        f"{_CAPABILITY}notification:1.0",
        f"{_CAPABILITY}interleave:1.0",
        *startup,
        yang_library.capability(modules),
        *(module_capability(module) for module in modules if module.implemented and module.yang_version == "1"),
    )


def module_capability(module: Module) -> str:
    """Return the URI by which <hello> names an implemented module (RFC 6020 section 5.6.4)."""
    parameters = {
        "module": module.name,
        "revision": module.revision,
        "features": ",".join(module.features),
        "deviations": ",".join(module.deviations),
    }
    query = "&".join(f"{key}={quote(value, safe=',')}" for key, value in parameters.items() if value)
    return f"{module.namespace}?{query}"
