"""The one place where failures become messages and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from pgsnow.cli.exits import ExitCode
from pgsnow.model.errors import ConfigError, PgsnowError


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Known failures take a line or two, with their fix."""
    from pgsnow.cli.app import app_of

    try:
        app_of(argv)(args=list(argv), prog_name="pgsnow")
    except SystemExit as end:
        return _code(end)
    except PgsnowError as error:
        print(message_of(error), file=sys.stderr)  # noqa: T201 - stderr is where messages go
        return error.exit_code
    except BrokenPipeError:
        _mute_stdout()
        return ExitCode.SOME_FAILED
    except Exception as error:
        print(_unexpected(error, debug="--debug" in argv), file=sys.stderr)  # noqa: T201
        return ExitCode.UNUSABLE
    return ExitCode.OK


def message_of(error: PgsnowError) -> str:
    """The message and its advice, one below the other; a ConfigError shows each problem on its own line."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        count = len(error.problems)
        lines = [f"error: the configuration has {count} problems", *(f"  {p}" for p in error.problems)]
    else:
        lines = [f"error: {error}"]
    return "\n".join([*lines, f"  → {error.advice}"] if error.advice else lines)


def _unexpected(error: Exception, *, debug: bool) -> str:
    """The text of an unknown error may quote anything, a connection string too, so only its type is shown."""
    if debug:
        return "".join(traceback.format_exception(error)).rstrip()
    return (
        f"error: unexpected {type(error).__name__}\n  → run the command again with --debug for the traceback"
    )


def _code(end: SystemExit) -> int:
    if end.code is None:
        return ExitCode.OK
    return end.code if isinstance(end.code, int) else ExitCode.UNUSABLE


def _mute_stdout() -> None:
    """The reader of a pipe (`| head`) has left: without this the interpreter complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
