"""Virtual environments of other tools, created once in a cache folder: `PGSNOW_BENCHMARK_CACHE`, or one in the system's
temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MADE = ".made"


class NotInstallable(Exception):
    """A tool's packages cannot be installed here."""


def cache() -> Path:
    given = os.environ.get("PGSNOW_BENCHMARK_CACHE")
    return Path(given) if given else Path(tempfile.gettempdir()) / "pgsnow-benchmarks"


def make_venv(folder: Path, packages: tuple[str, ...]) -> None:
    """Create an environment with exactly these packages and their dependencies, unless it exists."""
    wanted = " ".join(packages)
    stamp = folder / MADE
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    tool = _uv()
    _quietly([tool, "venv", "--quiet", "--python", sys.executable, str(folder)])
    _quietly([tool, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages])
    stamp.write_text(wanted)


def version_of(folder: Path, package: str) -> str:
    """The installed version of a package."""
    (found,) = folder.glob(f"lib/python*/site-packages/{package.replace('-', '_')}-*.dist-info")
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else "uv"


def _quietly(argv: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        subprocess.run(["nice", "-n", "10", *argv], env=env, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", None) or error)
        raise NotInstallable(" ".join(said.split())[-300:]) from None
