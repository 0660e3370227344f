from __future__ import annotations

import dataclasses
import datetime
import itertools

import pytest

from headstay.cloud.authentication import Authentication, Peer
from headstay.cloud.devices import Device
from headstay.cloud.limits import Allowance, Limits
from headstay.errors import WireError
from headstay.wire.messages import Authenticate, AuthenticateFinal, Body, Busy, Challenge, Granted, Refused
from headstay.wire.scram import ClientProof, Verifier, verifier_of

VERIFIER = verifier_of("secret")
PEER = Peer("192.0.2.1", None)


def authentication(**limits: object) -> Authentication:
    numbers = itertools.count(1)
    return Authentication(dataclasses.replace(Limits(), **limits), lambda: f"drawn-{next(numbers)}")  # type: ignore[arg-type]


def device(verifier: Verifier | None) -> Device:
    at = datetime.datetime(2026, 1, 27, tzinfo=datetime.UTC)
    return Device("SW-1", verifier, at, None, None, None, None)


def scram(proof: ClientProof, serial: str = "SW-1") -> Authenticate:
    return Authenticate(serial, "SCRAM-SHA-256", proof.client_first())


def challenged(core: Authentication, proof: ClientProof, now: float = 0.0) -> Challenge:
    answer = core.begin(scram(proof), device(VERIFIER), PEER, now)
    assert isinstance(answer, Challenge)
    return answer


def finish(core: Authentication, proof: ClientProof, challenge: Challenge, now: float = 0.0) -> Body:
    return core.finish(AuthenticateFinal(challenge.exchange, proof.client_final(challenge.message)), PEER, now)


def test_right_password_is_granted_a_token() -> None:
    core, proof = authentication(), ClientProof("sw-1", "secret")
    granted = finish(core, proof, challenged(core, proof))
    assert isinstance(granted, Granted)
    proof.verify(granted.message)
    assert core.holder(granted.token, 899.9) == "sw-1"
    assert core.holder(granted.token, 900.0) is None
    assert core.holder("other", 0.0) is None


@pytest.mark.parametrize(
    ("mechanism", "known", "verifier", "certificate", "reason"),
    [
        ("none", True, None, None, None),
        ("none", True, None, "sw-1", None),
        ("none", True, None, "SW-2", "certificate-mismatch"),
        ("none", True, VERIFIER, None, "password-required"),
        ("none", False, None, None, "unknown-serial"),
        ("certificate", True, None, "SW-1", None),
        ("certificate", True, None, None, "certificate-mismatch"),
        ("certificate", True, None, "", "certificate-mismatch"),
        ("certificate", True, VERIFIER, "SW-1", "password-required"),
        ("certificate", False, None, "SW-1", "unknown-serial"),
        ("SCRAM-SHA-256", True, None, None, "not-allowed"),
        ("SCRAM-SHA-256", True, VERIFIER, "SW-2", "certificate-mismatch"),
        ("SCRAM-SHA-256", False, None, None, "unknown-serial"),
    ],
)
def test_who_is_refused_and_how(
    mechanism: str, known: bool, verifier: Verifier | None, certificate: str | None, reason: str | None
) -> None:
    message = ClientProof("SW-1", "secret").client_first() if mechanism == "SCRAM-SHA-256" else ""
    request = Authenticate("SW-1", mechanism, message)
    answer = authentication().begin(request, device(verifier) if known else None, Peer("192.0.2.1", certificate), 0.0)
    if reason is None:
        assert isinstance(answer, Granted)
    else:
        assert answer == Refused(reason)


def test_wrong_password_late_proof_and_replay_are_bad_proofs() -> None:
    core = authentication()
    wrong, late, right = (ClientProof("SW-1", password) for password in ("wrong", "secret", "secret"))
    assert finish(core, wrong, challenged(core, wrong)) == Refused("bad-proof")
    assert finish(core, late, challenged(core, late), now=30.0) == Refused("bad-proof")
    challenge = challenged(core, right)
    final = AuthenticateFinal(challenge.exchange, right.client_final(challenge.message))
    assert isinstance(core.finish(final, PEER, 0.0), Granted)
    assert core.finish(final, PEER, 0.0) == Refused("bad-proof")


def test_failed_exchange_is_spent_too() -> None:
    core, proof = authentication(), ClientProof("SW-1", "secret")
    challenge = challenged(core, proof)
    assert core.finish(AuthenticateFinal(challenge.exchange, "junk"), PEER, 0.0) == Refused("bad-proof")
    assert finish(core, proof, challenge) == Refused("bad-proof")


@pytest.mark.parametrize(
    "request_",
    [
        Authenticate("SW-1", "PLAIN"),
        Authenticate("-", "none"),
        Authenticate("SW-1", "SCRAM-SHA-256", "junk"),
        Authenticate("SW-1", "SCRAM-SHA-256", ClientProof("SW-2", "secret").client_first()),
    ],
)
def test_malformed_requests(request_: Authenticate) -> None:
    core = authentication()
    with pytest.raises(WireError):
        core.begin(request_, device(VERIFIER), PEER, 0.0)


def test_exchanges_are_bounded() -> None:
    core = authentication(exchanges=2, exchanges_per_pair=2)
    first = [ClientProof("SW-1", "secret") for _ in range(3)]
    challenges = [challenged(core, proof) for proof in first]
    assert finish(core, first[0], challenges[0]) == Refused("bad-proof")  # the third took the first's place
    assert isinstance(finish(core, first[1], challenges[1]), Granted)
    challenged(core, ClientProof("SW-1", "secret"))
    other = core.begin(scram(ClientProof("SW-2", "secret"), "SW-2"), device(VERIFIER), PEER, 0.0)
    assert other == Busy(5.0)
    assert isinstance(core.begin(scram(ClientProof("SW-2", "x"), "SW-2"), device(VERIFIER), PEER, 30.0), Challenge)


HERE, THERE = Peer("192.0.2.1", None), Peer("198.51.100.7", None)


def strangers(count: int) -> list[Peer]:
    return [Peer(f"203.0.113.{number}", None) for number in range(1, count + 1)]


def tried(core: Authentication, password: str, peer: Peer, now: float = 0.0, serial: str = "SW-1") -> Body:
    """Make a whole exchange; return the answer that ended it."""
    proof = ClientProof(serial, password)
    answer = core.begin(scram(proof, serial), device(VERIFIER), peer, now)
    if not isinstance(answer, Challenge):
        return answer
    return core.finish(AuthenticateFinal(answer.exchange, proof.client_final(answer.message)), peer, now)


def test_failures_of_a_pair_make_it_wait() -> None:
    core = authentication(failures_of_pair=Allowance(burst=2, seconds=6.0, most=9))
    pending = ClientProof("SW-1", "secret")
    challenge = challenged(core, pending)
    for _ in range(2):
        core.begin(Authenticate("SW-1", "none"), device(VERIFIER), PEER, 0.0)
    assert core.begin(Authenticate("sw-1", "none"), device(VERIFIER), PEER, 0.0) == Busy(6.0)
    assert finish(core, pending, challenge) == Busy(6.0)
    elsewhere = Authenticate("SW-2", "none")
    assert isinstance(core.begin(elsewhere, device(None), PEER, 0.0), Granted)
    assert isinstance(core.begin(Authenticate("SW-1", "none"), device(None), PEER, 6.0), Granted)


def test_a_stranger_cannot_lock_a_device_out() -> None:
    core = authentication()
    answers = [tried(core, "wrong", THERE, now=second / 10) for second in range(600)]
    assert isinstance(answers[-1], Busy)
    assert isinstance(tried(core, "secret", HERE, now=60.0), Granted)


def test_guessing_from_one_address_is_bounded() -> None:
    core = authentication()
    answers = [tried(core, "wrong", THERE, now=float(second)) for second in range(600)]
    assert answers.count(Refused("bad-proof")) <= 10 + 600 / 6


def test_guessing_from_many_addresses_is_bounded_and_locks_no_device_out_where_it_was_let_in_before() -> None:
    core = authentication()
    assert isinstance(tried(core, "secret", HERE), Granted)
    answers = [tried(core, "wrong", peer, now=float(second)) for second in range(60) for peer in strangers(50)]
    assert answers.count(Refused("bad-proof")) <= 200 + 60
    assert isinstance(answers[-1], Busy)
    assert isinstance(tried(core, "secret", HERE, now=59.0), Granted)
    # Where it never was, nobody can tell it from one stranger more.
    assert isinstance(tried(core, "secret", THERE, now=59.0), Busy)
    assert isinstance(tried(core, "secret", THERE, now=59.0, serial="SW-2"), Granted)


def test_a_device_that_fails_does_not_lock_its_neighbours_out() -> None:
    core = authentication()
    for moment in range(3000):
        wrong = tried(core, "wrong", HERE, now=moment / 10)
        never_added = core.begin(Authenticate("SW-3", "none"), None, HERE, moment / 10)
    assert isinstance(wrong, Busy)
    assert isinstance(never_added, Busy)
    assert isinstance(tried(core, "secret", HERE, now=300.0, serial="SW-2"), Granted)


def test_an_address_that_makes_serials_up_learns_nothing_and_stops_nobody_who_was_there_before() -> None:
    core = authentication()
    assert isinstance(tried(core, "secret", HERE, serial="SW-2"), Granted)
    answers = [core.begin(Authenticate(f"x{number}", "none"), None, HERE, 1.0) for number in range(100)]
    assert answers.count(Refused("unknown-serial")) == 60
    assert core.finish(AuthenticateFinal("x", "y"), HERE, 1.0) == Busy(1.0)
    # A right guess looks like a wrong one now.
    assert core.begin(Authenticate("SW-1", "none"), device(None), HERE, 1.0) == Busy(1.0)
    assert isinstance(tried(core, "secret", HERE, now=1.0, serial="SW-2"), Granted)


def test_a_stranger_cannot_push_a_devices_exchange_out() -> None:
    core, proof = authentication(), ClientProof("SW-1", "secret")
    challenge = challenged(core, proof)
    for _ in range(20):
        assert isinstance(core.begin(scram(ClientProof("SW-1", "x")), device(VERIFIER), THERE, 0.0), Challenge)
    assert isinstance(finish(core, proof, challenge), Granted)


def test_a_new_password_makes_old_places_strange() -> None:
    core = authentication(failures_of_serial=Allowance(burst=1, seconds=6.0, most=9))
    assert isinstance(tried(core, "secret", HERE), Granted)
    assert tried(core, "wrong", THERE) == Refused("bad-proof")
    assert isinstance(tried(core, "secret", HERE), Granted)
    core.revoke("sw-1")
    assert tried(core, "secret", HERE) == Busy(6.0)


def test_failures_of_an_address_make_it_wait() -> None:
    core = authentication(failures_of_address=Allowance(burst=2, seconds=1.0, most=9))
    for serial in ("a", "b"):
        assert core.begin(Authenticate(serial, "none"), None, PEER, 0.0) == Refused("unknown-serial")
    assert core.begin(Authenticate("SW-1", "none"), device(None), PEER, 0.0) == Busy(1.0)
    assert core.finish(AuthenticateFinal("x", "y"), PEER, 0.0) == Busy(1.0)
    other = Peer("192.0.2.2", None)
    assert isinstance(core.begin(Authenticate("SW-1", "none"), device(None), other, 0.0), Granted)


def test_revoking_ends_tokens_and_exchanges() -> None:
    core, proof = authentication(), ClientProof("SW-1", "secret")
    granted = core.begin(Authenticate("SW-1", "none"), device(None), PEER, 0.0)
    assert isinstance(granted, Granted)
    challenge = challenged(core, proof)
    core.revoke("sw-1")
    assert core.holder(granted.token, 0.0) is None
    assert finish(core, proof, challenge) == Refused("bad-proof")
