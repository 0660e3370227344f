"""The :with-defaults capability (RFC 6243): its parameter, wherever it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headstay.datastore.defaults import BASIC_MODE, DefaultsMode
from headstay.netconf.operations.parameters import Parameters

CAPABILITY: Final = "urn:ietf:params:netconf:capability:with-defaults:1.0?basic-mode={}&also-supported={}".format(
    BASIC_MODE.value, ",".join(mode.value for mode in DefaultsMode if mode is not BASIC_MODE)
)
PARAMETER: Final[Mapping[str, str]] = {"with-defaults": "urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults"}
"""The parameter and its namespace."""

_MODES: Final = [mode.value for mode in DefaultsMode]


def requested(parameters: Parameters, otherwise: DefaultsMode = BASIC_MODE) -> DefaultsMode:
    """Return the mode that is asked for. Raises InvalidValue if it is none."""
    chosen = parameters.choice("with-defaults", _MODES)
    return otherwise if chosen is None else DefaultsMode(chosen)
