"""How a test of a server looks on a terminal."""

from __future__ import annotations

import pytest

from headstay.cli.operational import Leafs
from headstay.cli.test_connection import stages_text

ADVICE = "The certificate is for one.example, not for cloud.example. " + "Give the server another certificate. " * 5
STAGES: list[Leafs] = [
    {"name": "resolve", "result": "passed", "time-taken": 12, "explanation": "192.0.2.7, 2001:db8::7"},
    {"name": "connect", "result": "passed", "time-taken": 31, "port": 19443, "address": "192.0.2.7"},
    {
        "name": "tls",
        "result": "failed",
        "time-taken": 10045,
        "port": 19443,
        "address": "192.0.2.7",
        "reason": "certificate-name-mismatch",
        "explanation": ADVICE,
    },
    {"name": "http", "result": "skipped"},
]
TEXT = """\
cloud.example port 19443
STAGE         RESULT        TIME  FOUND
resolve       passed       12 ms  192.0.2.7, 2001:db8::7
connect       passed       31 ms  192.0.2.7
tls           failed    10045 ms  certificate-name-mismatch
                                  The certificate is for one.example, not for
                                  cloud.example. Give the server another
                                  certificate. Give the server another
                                  certificate. Give the server another
                                  certificate. Give the server another
                                  certificate. Give the server another
                                  certificate.
http          skipped"""


def of(domain: str) -> list[Leafs]:
    return [{"domain": domain, **stage} for stage in STAGES]


def test_what_was_found_is_wrapped_and_whole() -> None:
    assert stages_text(of("cloud.example")) == TEXT


@pytest.mark.parametrize("domain", ["a" * 63 + "." + "b" * 63 + ".example", "2001:db8:1111:2222:3333:4444:5555:6666"])
def test_eighty_columns_are_enough(domain: str) -> None:
    assert max(map(len, stages_text(of(domain)).splitlines())) <= 80


def test_colours_tell_the_results_apart_and_change_no_column() -> None:
    coloured = stages_text(of("cloud.example"), coloured=True)
    assert "\033[31mfailed\033[0m" in coloured
    for code in ("\033[31m", "\033[32m", "\033[2m", "\033[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == TEXT


def test_nothing_from_elsewhere_steers_the_terminal() -> None:
    stages: list[Leafs] = [{"domain": "x", "name": "http", "result": "failed", "explanation": "\x1b[2J\rHotel"}]
    assert "\x1b" not in stages_text(stages)
    assert "\r" not in stages_text(stages)
