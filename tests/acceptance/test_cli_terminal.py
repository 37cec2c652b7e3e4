"""On a terminal: colours, bars and questions; never in a pipe."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.acceptance.cli_user import SECRET, User
from tests.forked import run_forked
from tests.progress import CEILING, wait_until

ESCAPE = "\x1b["
SECONDS = CEILING


def on_terminal(
    user: User, *args: str, typed: str = "", question: str = "Continue?", **env: str
) -> tuple[int, str]:
    """Run a command with a terminal for all three streams; (exit code, all that was shown)."""
    leader, follower = pty.openpty()
    terminal = {**user.env, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40", **env}
    process = run_forked("pgsnow", args, env=terminal, cwd=user.folder, terminal=follower)
    os.close(follower)
    shown = b""
    deadline = time.monotonic() + SECONDS
    asked = False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([leader], [], [], 0.1)
        if ready:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
        if typed and not asked and question.encode() in shown:
            os.write(leader, typed.encode())
            asked = True
    os.close(leader)
    text = shown.decode(errors="replace")
    assert SECRET not in text
    return process.wait(SECONDS), text


def test_a_terminal_has_colours_unless_no_color_is_set(user: User) -> None:
    code, coloured = on_terminal(user, "run")
    assert code == 0
    assert "\x1b[32m" in coloured
    code, plain = on_terminal(user, "status", NO_COLOR="1")
    assert code == 0
    assert "\x1b[32m" not in plain


def test_a_destructive_command_asks_and_obeys_the_answer(user: User) -> None:
    assert user.here("run").code == 0
    user.sql("delete from public.users where id = 1")
    code, shown = on_terminal(user, "run", "--full-refresh", "--select", "public.users", typed="n\n")
    assert code == 1
    assert "cancelled, nothing was changed" in shown
    one = "select count(*) from analytics.users where id = 1"
    assert user.query(one) == [(1,)]
    code, _ = on_terminal(user, "run", "--full-refresh", "--select", "public.users", typed="y\n")
    assert code == 0
    assert user.query(one) == [(0,)]
    assert user.here("verify", "--select", "public.users").code == 0


def test_watch_redraws_one_table(user: User) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pgsnow", "status", "--watch", "--every", "0.2"],
        cwd=user.folder,
        env={**user.env, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = bytearray()

    def redrawn() -> bool:
        if select.select([leader], [], [], 0.1)[0]:
            shown.extend(os.read(leader, 65536))
        return shown.count(b"\x1b[?2026h") >= 3

    try:
        wait_until(redrawn, "the screen was drawn again")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(SECONDS)
        os.close(leader)
    assert code == 130
    assert shown.count(b"public.users") == 1, "a line that did not change is not written again"
    assert shown.count(b"\x1b[?1049h") == 1


def test_a_reader_that_leaves_early_is_no_error_to_tell_of(user: User) -> None:
    """`pgsnow schema | head -1`"""
    process = user.start("schema")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(SECONDS) == 1


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_data_on_a_terminal_stay_data(user: User, form: str) -> None:
    code, shown = on_terminal(user, "status", "--output", form)
    assert code == 0
    assert ESCAPE not in shown


def test_init_asks_which_tables_and_writes_what_was_answered(user: User) -> None:
    user.config.unlink()
    answers = "mine.yaml\npublic\nusers, check*\ncheckins\ny\n"
    code, shown = on_terminal(user, "init", typed=answers, question="table list to write")
    assert code == 0, shown
    text = (user.folder / "mine.yaml").read_text()
    assert "source: public.users" in text
    assert "checkins" not in text
    assert not user.config.exists()


def test_init_writes_nothing_after_a_no(user: User) -> None:
    user.config.unlink()
    code, _ = on_terminal(user, "init", typed="\n\n\n\nn\n", question="table list to write")
    assert code == 1
    assert not user.config.exists()
