"""Entry point: runs one command line, and turns errors into messages and exit codes."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pgsnow.cli.exits import ExitCode
from pgsnow.model.errors import ConfigError, PgsnowError

if TYPE_CHECKING:
    from pgsnow.model.settings.secret import Secret


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. A PgsnowError is shown with its advice."""
    from pgsnow.cli.app import app_of

    try:
        app_of(argv)(args=list(argv), prog_name="pgsnow")
    except SystemExit as end:
        return _code(end)
    except PgsnowError as error:
        _tell(message_of(error))
        return error.exit_code
    except BrokenPipeError:
        _mute_stdout()
        return ExitCode.SOME_FAILED
    except Exception as error:
        _tell(_unexpected(error, argv))
        return ExitCode.UNUSABLE
    return ExitCode.OK


def _tell(message: str) -> None:
    """Write to stderr: wrapped at blanks on a terminal, as it is in a pipe."""
    if not sys.stderr.isatty():
        print(message, file=sys.stderr)  # noqa: T201 - stderr is where messages go
        return
    from pgsnow.cli.output.screen import say

    for line in message.splitlines():
        say(line)


def message_of(error: PgsnowError) -> str:
    """The error's text, then its advice on the next line; a ConfigError has one line for each problem."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        count = len(error.problems)
        lines = [f"error: the configuration has {count} problems", *(f"  {p}" for p in error.problems)]
    else:
        lines = [f"error: {error}"]
    return "\n".join([*lines, f"  → {error.advice}"] if error.advice else lines)


def _unexpected(error: Exception, argv: Sequence[str]) -> str:
    """The class and the place alone, because the text of an unknown error may quote a secret; with --debug
    the traceback, without secrets."""
    from pgsnow.model.unexpected import public_text, redacted_traceback

    if "--debug" not in argv:
        return f"error: {public_text(error)}\n  → run the command again with --debug for the traceback"
    return redacted_traceback(error, _secrets(argv))


def _secrets(argv: Sequence[str]) -> tuple[Secret, ...]:
    """Secrets of the environment, and of the .env file that the command would read."""
    from pgsnow.cli.invocation import CONFIG_PLACES, Invocation
    from pgsnow.model.settings.redaction import secrets_in

    places = [Path(file) for file in (_option(argv, "--config", "-c"), *CONFIG_PLACES) if file is not None]
    env_file = _option(argv, "--env-file")
    found = [secrets_in(os.environ)]
    for place in places:
        try:
            found.append(
                secrets_in(Invocation(env_file=Path(env_file) if env_file else None).variables(place))
            )
        except PgsnowError:
            continue  # the file is not there: it holds no secret
    return tuple(itertools.chain.from_iterable(found))


def _option(argv: Sequence[str], *names: str) -> str | None:
    """The value of an option as it is written: `--name value` or `--name=value`."""
    for at, word in enumerate(argv):
        name, sign, value = word.partition("=")
        if name in names:
            return value if sign else next(iter(argv[at + 1 :]), None)
    return None


def _code(end: SystemExit) -> int:
    if end.code is None:
        return ExitCode.OK
    return end.code if isinstance(end.code, int) else ExitCode.UNUSABLE


def _mute_stdout() -> None:
    """Redirect stdout once the reader of a pipe (`| head`) has closed it: the interpreter would report an
    error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
