"""What holds for every test: a skip that a complete machine does not excuse can be made a failure.

`--refuse-skips` is for CI, where everything a test needs is installed: there a skip means that something is broken.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Generator
from pathlib import Path

import pytest

EXCUSED: dict[str, str] = {}
"""Reasons that a test may give for skipping itself on a complete machine, each with why that is right."""

if platform.machine() != "x86_64":
    EXCUSED["there is no libyang wheel for this machine"] = "the oracle's wheel is built for x86-64 only"
    EXCUSED["could not import 'oopt_gnpy_libyang': No module named 'oopt_gnpy_libyang'"] = "the same"

if os.geteuid() != 0:
    EXCUSED["only root makes network namespaces"] = "a developer's own machine; CI is root"
if os.geteuid() == 0:
    EXCUSED["root reads everything"] = "CI is root; other tests put a directory where the unreadable file would be"
else:
    EXCUSED["only root makes files for another user"] = "there is nothing to see then: every file is its maker's"
    EXCUSED["only root mounts file systems"] = "CI is root; a full disk has a double in the unit tests, for everybody"
    EXCUSED["network namespaces need root"] = "CI is root and runs them; nobody should have to be, to test the rest"

if not Path("/dev/net/tun").exists():
    EXCUSED["there is no /dev/net/tun"] = "a container without it has no other way to delay packets"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refuse-skips", action="store_true", help="a skip that tests/conftest.py does not excuse is a failure"
    )


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that is not excused into a failure."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    reason = reason.removeprefix("Skipped: ")
    if reason not in EXCUSED:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped without an excuse in tests/conftest.py: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--refuse-skips"):
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--refuse-skips"):
        refuse(report)
    return report
