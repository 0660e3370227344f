from __future__ import annotations

import pytest

from headstay.engine.dial import resolve, target_of
from headstay.engine.failures import StepFailed
from headstay.engine.inputs import Failure
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import AddressFamily


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_what_cannot_be_a_name_is_a_failure_to_resolve(host: str) -> None:
    with pytest.raises(StepFailed) as failed:
        await resolve(target_of(host, 1), AddressFamily.ANY)
    assert failed.value.failure == Failure(FailureReason.DNS_FAILED, "not a domain name")


async def test_an_address_is_its_own() -> None:
    ((_, _, _, _, address),) = await resolve(target_of("127.0.0.1", 5), AddressFamily.ANY)
    assert address == ("127.0.0.1", 5)
