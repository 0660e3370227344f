"""What a measurement was made with: machine, versions, commit. Every bench names them beside its figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]


def surroundings(*packages: str) -> dict[str, Any]:
    """Return `machine`, `versions` (of these distributions) and `commit`, as JSON has them."""
    return {
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "commit": commit(),
    }


def machine() -> dict[str, Any]:
    """Return processor, cores, kernel and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))}
    return {
        "processor": ", ".join(sorted(models)) or platform.machine(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def commit() -> str:
    """Return the checkout's commit and whether something in it is changed, or `unknown`."""
    git = ["git", "-C", str(CHECKOUT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} (changed)" if changed else head


def machine_and_commit(report: dict[str, Any]) -> str:
    """Return the lines that head a table: what `surroundings` found, and when."""
    here = report["machine"]
    return f"""\
{here["processor"]}, {here["cores"]} cores, {here["kernel"]}, {here["python"]}
{", ".join(f"{name} {version}" for name, version in report["versions"].items())}
commit {report["commit"]}, {report["when"]}
"""
