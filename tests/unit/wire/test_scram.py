"""SCRAM-SHA-256 as the wire uses it: both sides agree, neither is fooled, iterations are bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstay.errors import WireError
from headstay.wire import scram

PASSWORD = "correct horse"
VERIFIER = scram.verifier_of(PASSWORD)


def exchange(password: str, verifier: scram.Verifier) -> None:
    client = scram.ClientProof("S1", password)
    server = scram.ServerProof(lambda serial: verifier)
    client_final = client.client_final(server.server_first(client.client_first()))
    client.verify(server.server_final(client_final))


def test_both_sides_agree() -> None:
    exchange(PASSWORD, VERIFIER)


def test_rfc_7677_example() -> None:
    client = scram.ClientProof("user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert client.client_first() == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = client.client_final(
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert final.endswith("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_wrong_password() -> None:
    with pytest.raises(scram.WrongProof):
        exchange("wrong", VERIFIER)


def test_server_that_does_not_know_the_password() -> None:
    client = scram.ClientProof("S1", PASSWORD)
    server = scram.ServerProof(lambda serial: VERIFIER)
    client.client_final(server.server_first(client.client_first()))
    with pytest.raises(scram.WrongProof):
        client.verify("v=" + "A" * 43 + "=")


@pytest.mark.parametrize("iterations", ["0", "1", "4095", "100001", "9999999", "99999999999", "x", ""])
def test_iterations_out_of_bounds(iterations: str) -> None:
    client = scram.ClientProof("S1", PASSWORD, nonce="abc")
    client.client_first()
    with pytest.raises(WireError, match="iteration"):
        client.client_final(f"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={iterations}")


@pytest.mark.parametrize("iterations", [scram.FEWEST_ITERATIONS, scram.MOST_ITERATIONS])
def test_iterations_at_the_bounds(iterations: int) -> None:
    exchange(PASSWORD, scram.verifier_of(PASSWORD, iterations))


@given(st.text())
def test_any_text_from_the_server_is_a_wire_error(text: str) -> None:
    client = scram.ClientProof("S1", PASSWORD, nonce="abc")
    client.client_first()
    with pytest.raises(WireError):
        client.client_final(text)


@given(st.text())
def test_any_text_from_the_device_is_a_wire_error(text: str) -> None:
    server = scram.ServerProof(lambda serial: VERIFIER)
    with pytest.raises(WireError):
        server.server_first(text)


def test_password_that_saslprep_forbids() -> None:
    with pytest.raises(WireError):
        scram.verifier_of("tab\tand\x00nul")


def test_a_verifier_shows_no_key() -> None:
    assert repr(VERIFIER) == f"Verifier(iterations={scram.USUAL_ITERATIONS})"
