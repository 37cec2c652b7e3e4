"""Failures become messages and exit codes in one place."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from pgsnow import __version__
from pgsnow.cli import entry
from pgsnow.cli.app import COMMANDS, GROUPS, app_of
from pgsnow.model.errors import (
    ConfigError,
    LeaseHeld,
    LedgerQueryFailed,
    LedgerUnavailable,
    PgsnowError,
    SourceTableMissing,
    TargetAccessDenied,
)


def ending_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def ended(**_: object) -> None:
        raise error

    monkeypatch.setattr("pgsnow.cli.app.app_of", lambda _: ended)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("sync_config.yaml: tables: nothing there"), 2),
        (LedgerUnavailable("localhost:1 refuses"), 2),
        (LedgerQueryFailed("ledger: column does not exist", advice="Compare it."), 2),
        (TargetAccessDenied("no"), 2),
        (SourceTableMissing("public.nope"), 1),
        (LeaseHeld("host:1 has it"), 3),
    ],
)
def test_a_known_error_ends_with_its_own_code_message_and_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: PgsnowError, code: int
) -> None:
    ending_with(monkeypatch, error)
    assert entry.run(["run"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(error) in shown.err
    assert error.advice in shown.err
    assert "Traceback" not in shown.err


def test_every_problem_of_a_configuration_has_its_line() -> None:
    text = entry.message_of(ConfigError(["a.yaml: x: wrong", "a.yaml: y: wrong too"]))
    assert text.splitlines()[1:3] == ["  a.yaml: x: wrong", "  a.yaml: y: wrong too"]


def test_an_unexpected_error_shows_its_type_and_nothing_that_may_be_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending_with(monkeypatch, RuntimeError("password=hunter2"))
    assert entry.run(["run"]) == 2
    shown = capsys.readouterr().err
    assert "RuntimeError" in shown
    assert "--debug" in shown
    assert "hunter2" not in shown
    assert "Traceback" not in shown


def test_debug_shows_the_traceback_of_an_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending_with(monkeypatch, RuntimeError("boom"))
    assert entry.run(["run", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code"),
    [(SystemExit(None), 0), (SystemExit(4), 4), (SystemExit("text"), 2), (SystemExit(0), 0)],
)
def test_a_commands_own_exit_code_is_kept(
    monkeypatch: pytest.MonkeyPatch, raised: SystemExit, code: int
) -> None:
    ending_with(monkeypatch, raised)
    assert entry.run([]) == code


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["run", "--nonsense"], ["errors", "show", "x"], ["demo", "--for", "0"]]
)
def test_wrong_usage_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err


def test_help_imports_nothing_heavy() -> None:
    """`pgsnow --help` answers at once: no driver, no Arrow, no Celery is loaded for it."""
    code = (
        "import sys; from pgsnow.cli.entry import run; run(['run', '--help']);"
        "heavy = {'pyarrow', 'psycopg', 'snowflake', 'numpy', 'celery', 'structlog', 'yaml'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_command_has_help_that_says_what_it_does() -> None:
    group = typer.main.get_command(app_of([]))
    commands = getattr(group, "commands", {})
    beginning = {"init", "discover", "grants"}
    every_day = {"check", "plan", "apply", "run", "resync", "status", "verify", "repair", "errors"}
    every_day |= {
        "logs",
        "cost",
        "log",
        "pause",
        "resume",
        "doctor",
        "serve",
        "alerts",
        "grafana",
        "alert-rules",
        "dbt",
    }
    assert set(commands) == beginning | every_day | {"dev", "demo", "explain", "schema", "version"}
    assert all(command.help for command in commands.values())


@pytest.mark.parametrize("argv", [["version"], ["--version"]])
def test_the_version_is_shown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways that people try."""
    assert entry.run(argv) == 0
    assert capsys.readouterr().out == f"pgsnow {__version__}\n"


def test_help_fits_80_columns_without_cutting_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option's name or a file's path that is cut cannot be typed."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    for name in (*COMMANDS, *GROUPS):
        assert entry.run([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "…" not in shown, shown
        assert max(map(len, shown.splitlines())) <= 80
