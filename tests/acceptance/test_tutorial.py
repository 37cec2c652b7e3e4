"""docs/tutorial.md runs as it is written: a reader who copies every block gets what the page says."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.acceptance.cli_user import Done, seen
from tests.forked import run_forked
from tests.progress import wait_until
from tests.unit.project.markdown import ROOT

PAGE = ROOT / "docs/tutorial.md"
LEFT_OUT = ("mkdir", "python3 -m venv", "pip install", "pgsnow dev")
"""Commands that make the reader's environment; the tests have one. What `pgsnow dev` does, test_cli_dev shows."""


def steps() -> list[tuple[str, str]]:
    """The page's blocks in order: language and text."""
    return re.findall(r"^```(sh|python|yaml|)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    """The reader's: no settings, and the programs of this environment first."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}


def served(folder: Path) -> Done:
    """Run `pgsnow serve`, on a port that is free here, until its page shows the table; then press Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = run_forked("pgsnow", ["serve", "--port", str(port)], env=environment(), cwd=folder)
    try:
        wait_until(lambda: "public.orders" in page_at(port), "the page shows the table")
    finally:
        os.kill(running.pid, signal.SIGINT)
        code = running.wait()
    return seen(Done(code, *running.output()))


def page_at(port: int) -> str:
    """The page, or nothing as long as nobody listens there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sync/") as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return ""


def reader(folder: Path, line: str) -> Done:
    """Run one line of the page in the reader's folder."""
    program, *arguments = line.split()
    if program == "pgsnow":
        running = run_forked("pgsnow", arguments, env=environment(), cwd=folder)
        return seen(Done(running.wait(), *running.output()))
    command = [sys.executable if program == "python" else program, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def test_every_block_of_the_tutorial_does_what_the_page_says(
    tmp_path: Path, database: str, snowflake_env: dict[str, str]
) -> None:
    """From nothing to a synced table: the proposed list is the one that is shown, the analyst sees the orders that are
    shown, the late row arrives, the deleted one leaves, and both sides are equal at the end."""
    (tmp_path / ".pgsnow").mkdir()
    settings = {"POSTGRES_DSN": database, **snowflake_env, "SNOWFLAKE_SCHEMA": "PUBLIC"}
    (tmp_path / ".pgsnow/.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    said: dict[str, list[str]] = {}
    for language, text in steps():
        if language == "python":
            [name] = re.findall(r"\A# (\w+\.py)$", text, re.MULTILINE)
            (tmp_path / name).write_text(text)
        elif language == "yaml":
            assert entry_of(text) in entry_of((tmp_path / "sync_config.yaml").read_text())
        elif language == "":
            assert said["python look.py"][-1] == text
        else:
            for line in (line for line in text.splitlines() if not line.startswith(LEFT_OUT)):
                done = served(tmp_path) if line == "pgsnow serve" else reader(tmp_path, line)
                assert done.code == 0, f"{line}: {done.err}"
                said.setdefault(line, []).append(done.out)
    assert "'late'" in said["python look.py"][-1]
    assert [" idle " in out for out in said["pgsnow run"][:2]] == [False, True]


def entry_of(text: str) -> str:
    """A table list without comments and blanks at the ends of lines."""
    return "\n".join(line for line in text.splitlines() if "#" not in line)
