"""The live suite against the emulator, with other versions of the connector: `make connectors`.

Each version is in an environment of its own, without the emulator's packages, which need connector 4: the emulator runs
in this environment. Prints each report; exit code 1 if a version answers otherwise than this environment's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.live.cases import CASES

ROOT = Path(__file__).parents[2]
VERSIONS = (">=4.4,<4.5", ">=5,<6")
"""The oldest that is supported, and the newest."""
LEFT_OUT = ("fakesnow", "duckdb", "sqlglot", "snowflake-connector-python", "filelock", "-e ")
"""Lines of requirements.lock that an environment does not get: the emulator's, the connector, and a package of which an
older connector needs an older version."""


def environment(folder: Path, version: str) -> Path:
    """Make an environment with this version of the connector; its Python."""
    uv = Path(sys.executable).parent / "uv"
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = [line for line in lock if not line.startswith(LEFT_OUT)]
    listed = folder / "requirements.txt"
    listed.write_text("\n".join([*wanted, f"snowflake-connector-python{version}", ""]))
    made = folder / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True)
    python = made / "bin/python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", listed], check=True)
    return python


def run(python: Path | str, env: Mapping[str, str]) -> tuple[int, str]:
    """The suite's exit code and what it prints."""
    done = subprocess.run(
        [python, "-m", "tests.live"], cwd=ROOT, env={**os.environ, **env, "PYTHONPATH": "src:."},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Compare each version with this environment's; the exit code."""
    with tempfile.TemporaryDirectory(prefix="pgsnow-connectors-") as name:
        folder = Path(name)
        with EmbeddedSnowflake(folder / "snowflake") as emulator:
            env = emulator.settings_env()
            emulator.create_database(env["SNOWFLAKE_DATABASE"])
            expected, failed = answers(run(sys.executable, env)[1]), False
            for number, version in enumerate(VERSIONS):
                place = folder / str(number)
                place.mkdir()
                python, began = environment(place, version), time.monotonic()
                _, printed = run(python, env)
                same = answers(printed) == expected
                failed |= not same
                print(
                    f"connector {version}: {'as with' if same else 'NOT as with'} this environment's,",
                    end=" ",
                )
                print(f"{len(expected)} answers, {time.monotonic() - began:.0f} s")
                print("" if same else printed)
    return int(failed or len(expected) <= len(CASES))


def answers(printed: str) -> list[str]:
    """The lines of the answers."""
    return [line for line in printed.splitlines() if line.startswith(("as expected ", "DIFFERS     "))]


if __name__ == "__main__":
    sys.exit(main())
