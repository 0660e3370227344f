"""What the tools say when something is missing, and that CI does not take a skip for a success."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOLS = CHECKOUT / "tools"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Path]:
    """Write a Python to which something is done before it runs what it was given with -c."""

    def write(before: str) -> Path:
        program = tmp_path / "program"
        program.write_text(f"import sys\n{before}\nexec(sys.argv[2])\n")
        file = tmp_path / "python3"
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
        file.chmod(0o755)
        return file

    return write


def test_a_complete_python_is_found(python: Callable[[str], Path]) -> None:
    file = python("")
    done = run(TOOLS / "venv", "--find", PYTHON=str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}\n", "")


def test_a_missing_venv_package_is_named(python: Callable[[str], Path]) -> None:
    """Debian's python3 has the module venv, and without python3-venv no ensurepip."""
    done = run(TOOLS / "venv", "--find", PYTHON=str(python("sys.modules['ensurepip'] = None")))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "sudo apt install python3-venv" in done.stderr


def test_an_old_python_is_refused(python: Callable[[str], Path]) -> None:
    done = run(TOOLS / "venv", "--find", PYTHON=str(python("sys.version_info = (3, 10, 0)")))
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


@pytest.mark.parametrize("tool", ["venv", "test", "check"])
def test_a_tool_says_what_it_does(tool: str) -> None:
    done = run(TOOLS / tool, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: tools/{tool} ")


@pytest.mark.parametrize("bench", ["netconf", "link"])
def test_a_bench_says_what_it_does(bench: str) -> None:
    done = run(sys.executable, TOOLS / "bench" / f"{bench}.py", "--help")
    assert done.returncode == 0
    assert "How to read the result" in done.stdout


def test_several_rounds_of_a_bench_are_told_by_their_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS / "bench")
    median_of = importlib.import_module("rounds").median_of
    rounds = [{"server": "one", "results": [{"p50_ms": p50, "count": 3}], "memory": None} for p50 in (0.3, 0.1, 0.2)]
    assert median_of(rounds) == {"server": "one", "results": [{"p50_ms": 0.2, "count": 3}], "memory": None}
    assert median_of(rounds[:1]) == rounds[0]


def pytest_on(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test file under this project's conftest.py."""
    shutil.copy(CHECKOUT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (folder / "test_it.py").write_text(text)
    return run(sys.executable, "-m", "pytest", *options, folder)


SKIPS = """
import pytest

def test_that_skips():
    pytest.skip("the wind is wrong")

@pytest.mark.skip(reason="marked")
def test_that_is_marked():
    pass

def test_that_passes():
    pass
"""


def test_a_skip_is_no_failure_at_home(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, SKIPS)
    assert done.returncode == 0
    assert " 1 passed, 2 skipped " in done.stdout


def test_ci_refuses_a_skip_that_is_not_excused(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, SKIPS, "--refuse-skips")
    assert done.returncode == 1
    assert " 1 failed, 1 passed, 1 error " in done.stdout
    assert "test_it.py:5: skipped without an excuse in tests/conftest.py: the wind is wrong" in done.stdout


def test_ci_refuses_a_module_that_skips_itself(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, 'import pytest\npytest.importorskip("not_to_be_had")\n', "--refuse-skips")
    assert done.returncode == 2
    assert "skipped without an excuse in tests/conftest.py: could not import 'not_to_be_had'" in done.stdout


def test_fuzz_feeds_a_target_and_shows_what_took_longest() -> None:
    done = run(sys.executable, TOOLS / "fuzz", "framing", "--seconds", "0.1")
    assert done.returncode == 0, done.stderr
    assert "none failed; the slowest:" in done.stdout


def test_fuzz_keeps_an_input_that_fails(tmp_path: Path) -> None:
    properties = tmp_path / "test_broken.py"
    properties.write_text(
        "from hypothesis import given, strategies\n"
        "@given(strategies.binary())\n"
        "def test_broken(octets): assert octets == b'right'\n"
    )
    load = (
        "import importlib.machinery, importlib.util, pathlib, sys\n"
        "loader = importlib.machinery.SourceFileLoader('fuzz', sys.argv[1])\n"
        "fuzz = importlib.util.module_from_spec(importlib.util.spec_from_loader('fuzz', loader))\n"
        "loader.exec_module(fuzz)\n"
        "fuzz.Target(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))\n"
    )
    done = run(sys.executable, "-c", load, TOOLS / "fuzz", properties, tmp_path / "input", PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 1
    assert "FAILED test_broken(octets=b'')" in done.stdout
    assert (tmp_path / "input").read_bytes()
