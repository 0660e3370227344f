from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives import serialization

from headstay.engine.instant import Instant
from headstay.engine.settings import Tls
from headstay.engine.tls import LONGEST_LIFE, TlsContexts, TlsSettingsError, tls_context


@pytest.mark.parametrize("trusts_all", [True, False])
def test_the_server_is_always_verified(authority, trusts_all) -> None:
    context = tls_context(Tls() if trusts_all else Tls((authority.pem,)))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_only_the_configured_anchors_are_trusted(authority) -> None:
    assert tls_context(Tls((authority.pem,))).cert_store_stats()["x509"] == 1


BAD = [
    "",
    "rubbish",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\nmöp",
]


@pytest.mark.parametrize("text", BAD)
def test_a_bad_anchor_is_named_and_not_quoted(authority, text) -> None:
    with pytest.raises(TlsSettingsError) as caught:
        tls_context(Tls((authority.pem, text)))
    assert caught.value.leaf == "trust-anchor"
    assert "rubbish" not in str(caught.value)


def test_a_client_certificate_is_loaded(authority) -> None:
    pem = authority.issue(common_name="SN1")
    tls_context(Tls((authority.pem,), pem.certificate, pem.key))


def test_certificate_and_key_need_each_other(authority) -> None:
    pem = authority.issue(common_name="SN1")
    for tls, leaf in ((Tls((), pem.certificate), "private-key"), (Tls((), None, pem.key), "client-certificate")):
        with pytest.raises(TlsSettingsError) as caught:
            tls_context(tls)
        assert caught.value.leaf == leaf


def test_a_key_that_does_not_fit_or_is_encrypted_is_refused_without_a_question(authority) -> None:
    pem, other = authority.issue(common_name="SN1"), authority.issue(common_name="SN1")
    key = serialization.load_pem_private_key(pem.key.encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    ).decode()
    for wrong in (other.key, encrypted, "rubbish", ""):
        with pytest.raises(TlsSettingsError) as caught:
            tls_context(Tls((), pem.certificate, wrong))
        assert "rubbish" not in str(caught.value)


def test_no_repr_shows_the_key(authority) -> None:
    pem = authority.issue(common_name="SN1")
    assert "PRIVATE KEY" not in repr(Tls((), pem.certificate, pem.key))


# sessions -------------------------------------------------------------------------------------------


def test_a_context_is_kept_for_the_same_settings_for_a_while(authority) -> None:
    now = 0.0
    contexts = TlsContexts(lambda: Instant(now, 0.0))
    anchored = Tls((authority.pem,))
    first = contexts.context(anchored)
    now = LONGEST_LIFE - 1
    assert contexts.context(Tls((authority.pem,))) is first
    now = LONGEST_LIFE
    second = contexts.context(anchored)
    assert second is not first
    assert contexts.context(Tls()) is not second
    assert contexts.context(anchored) is not second
    third = contexts.context(anchored)
    contexts.forget()
    assert contexts.context(anchored) is not third


def test_the_server_is_verified_by_a_context_that_resumes(authority) -> None:
    context = TlsContexts().context(Tls((authority.pem,)))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
