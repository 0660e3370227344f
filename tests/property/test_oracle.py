"""libyang, the oracle, and the model agree on which configurations are valid.

Where the two are known to differ, `configurations` keeps the shape out and cites the RFC that says who is right. The
same examples come in every run; to look for more, raise their number and take `derandomize` away.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from configurations import Configurations, document
from headstay import xml
from headstay.datastore.model import Model
from headstay.datastore.modules import module_directories
from headstay.errors import NetconfError, RpcErrors
from models import TEST_YANG, device_model, made, test_model

libyang = pytest.importorskip("oopt_gnpy_libyang", reason="there is no libyang wheel for this machine")


@functools.cache
def oracle(model: Model) -> Any:
    """Return libyang's context with the same modules."""
    libyang.set_log_options(libyang.LogOptions.Store)
    path = os.pathsep.join(str(directory) for directory in directories())
    context = libyang.Context(path, libyang.ContextOptions.NoYangLibrary | libyang.ContextOptions.DisableSearchCwd)
    for module in model.modules:
        if module.implemented:
            context.load_module(module.name, module.revision or None, list(module.features))
    return context


def directories() -> tuple[Path, ...]:
    return (TEST_YANG, *module_directories())


def refused_by_libyang(model: Model, text: str) -> str | None:
    """Return why, or None."""
    context = oracle(model)
    context.clean_all_errors()
    try:
        context.parse_data(
            text,
            libyang.DataFormat.XML,
            libyang.ParseOptions.Strict | libyang.ParseOptions.NoState,
            libyang.ValidationOptions.NoState,
        )
    except libyang.ErrorWithCode:
        return "; ".join(f"{error.data_path}: {error.message}" for error in context.errors())
    return None


def refused_by_model(model: Model, text: str) -> str | None:
    """Return why, or None."""
    try:
        model.validate(made(model, xml.parse(b"<config>" + text.encode() + b"</config>")))
    except (NetconfError, RpcErrors) as error:
        return str(error)
    return None


def agree(model: Model, seed: int, mistakes: float) -> None:
    text = "".join(document(Configurations(model.schema).write(Random(seed), mistakes=mistakes)))
    ours, theirs = refused_by_model(model, text), refused_by_libyang(model, text)
    note(f"configuration: {text}\nmodel: {ours}\nlibyang: {theirs}")
    assert (ours is None) == (theirs is None)


SEEDS = st.integers(0, 2**64 - 1)
MISTAKES = st.sampled_from([0.0, 0.02, 0.05])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(SEEDS, MISTAKES)
def test_they_agree_on_the_device(seed: int, mistakes: float) -> None:
    agree(device_model(), seed, mistakes)


@settings(max_examples=700, deadline=None, derandomize=True)
@given(SEEDS, MISTAKES)
def test_they_agree_on_every_kind_of_constraint(seed: int, mistakes: float) -> None:
    agree(test_model(), seed, mistakes)


def written(address: ipaddress.IPv6Address, form: str) -> str:
    """Write an IPv6 address in one of the forms that RFC 4291 section 2.2 allows."""
    match form:
        case "exploded":
            return address.exploded.upper()
        case "mixed":
            groups = address.exploded.split(":")
            return ":".join([*groups[:6], str(ipaddress.IPv4Address(address.packed[12:]))])
    return address.compressed


ADDRESSES = st.builds(
    lambda groups: ipaddress.IPv6Address(b"".join(groups)),
    st.lists(st.sampled_from([b"\0\0", b"\0\0", b"\xff\xff", b"\0\1", b"\x20\1"]), min_size=8, max_size=8),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(ADDRESSES, st.sampled_from(["exploded", "mixed", "compressed"]), st.sampled_from(["source-address", "server"]))
def test_an_ipv6_address_has_libyangs_canonical_form(address: ipaddress.IPv6Address, form: str, leaf: str) -> None:
    inner = f"<domain>{written(address, form)}</domain>" if leaf == "server" else written(address, form)
    text = f'<cloud-management xmlns="{xml.HCM}"><{leaf}>{inner}</{leaf}></cloud-management>'
    options = libyang.ParseOptions.Strict | libyang.ParseOptions.ParseOnly
    theirs = oracle(device_model()).parse_data(text, libyang.DataFormat.XML, options)
    printed = xml.parse(theirs.print(libyang.DataFormat.XML, libyang.PrintFlags.Siblings).encode())
    ours = made(device_model(), xml.parse(b"<config>" + text.encode() + b"</config>"))
    assert "".join(ours.itertext()) == "".join(printed.itertext()).strip()


@pytest.mark.parametrize("model", [device_model, test_model])
def test_the_configurations_are_of_both_kinds(model: Any) -> None:
    """Or else agreement would say little."""
    writer = Configurations(model().schema)
    texts = ["".join(document(writer.write(Random(seed), mistakes=0.02))) for seed in range(200)]
    valid = sum(refused_by_libyang(model(), text) is None for text in texts)
    assert 20 < valid < 180
