"""The input of the model's RPCs: canonical, checked, and refused with the error that RFC 6241 asks for."""

from __future__ import annotations

import functools

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.model import Model
from headstay.datastore.modules import MODULES
from headstay.errors import ErrorInfo, MissingElement, NetconfError, OperationFailed, RpcErrors


@functools.cache
def whole_model() -> Model:
    """The model without the deviations of this release: all its RPCs."""
    return Model([use for use in MODULES if use.name != "headstay-deviations"])


def operation(name: str, content: str = "") -> etree._Element:
    return xml.parse(f'<rpc xmlns="{xml.NETCONF}"><{name} xmlns="{xml.HCM}">{content}</{name}></rpc>'.encode())[0]


def refused(name: str, content: str) -> NetconfError:
    with pytest.raises((NetconfError, RpcErrors)) as caught:
        whole_model().rpc_input(operation(name, content))
    return caught.value.errors[0] if isinstance(caught.value, RpcErrors) else caught.value


def test_without_parameters() -> None:
    assert xml.local_name(whole_model().rpc_input(operation("reconnect"))) == "reconnect"


def test_canonical_and_unchanged_original() -> None:
    given = operation("test-connection", "<port>0443</port><domain>a.example</domain>")
    taken = whole_model().rpc_input(given)
    assert [(xml.local_name(leaf), leaf.text) for leaf in taken] == [("domain", "a.example"), ("port", "443")]
    assert given[0].text == "0443"


def test_missing_mandatory_parameter() -> None:
    error = refused("unbind", "")
    assert isinstance(error, MissingElement)
    assert error.info == (ErrorInfo("bad-element", "code"),)


def test_must_counts() -> None:
    error = refused("test-connection", "<port>443</port>")
    assert isinstance(error, OperationFailed)
    assert error.app_tag == "missing-domain"
    assert error.path is not None
    assert error.path.text == "/hcm:test-connection/hcm:port"


@pytest.mark.parametrize(
    ("name", "content", "tag"),
    [
        ("reconnect", "<now/>", "unknown-element"),
        ("unbind", "<code/>", "invalid-value"),
        ("unbind", "<code>1</code><code>2</code>", "bad-element"),
        ("test-connection", "<domain>a</domain><port>0</port>", "invalid-value"),
        ("test-connection", '<domain xmlns="urn:x">a</domain>', "unknown-namespace"),
    ],
)
def test_wrong_parameter(name: str, content: str, tag: str) -> None:
    assert refused(name, content).tag == tag


def test_an_rpc_that_this_release_leaves_out_is_not_there() -> None:
    with pytest.raises(KeyError):
        Model().rpc_input(operation("rollback", "<id>1</id>"))
