"""The wheel, as it is installed: it brings every YANG module of ours, and loads the device's model from them."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {file.name for file in (ROOT / "yang").glob("*.yang")}

LOAD = """
import json, sys
sys.path += sys.argv[1:]
import headstay
from headstay.datastore.model import Model
print(json.dumps([headstay.__file__, *(str(module.file) for module in Model().modules)]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it with the backend of pyproject.toml, which the extra `test` brings, so that nothing is downloaded."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = directory.glob("*.whl")
    return built


def test_every_module_of_ours_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.removeprefix("headstay/yang/") for name in archive.namelist() if name.endswith(".yang")}
    assert packed == MODULES


def test_an_installed_wheel_loads_the_model_from_its_own_modules(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    # Without the module site (-S) nothing reads the .pth file that leads to the checkout. What headstay depends on is
    # found all the same: those are directories, not links.
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(installed), *dependencies()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    package, *files = map(Path, json.loads(done.stdout))
    assert package == installed / "headstay" / "__init__.py"
    ours = {file.name: file.parent for file in files if file.name in MODULES}
    assert ours == dict.fromkeys(MODULES, installed / "headstay" / "yang")


def dependencies() -> list[str]:
    """Where pip installs packages: of pure Python, and others."""
    return list(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
