"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of pgsnow, as in `$?`."""

    OK = 0
    SOME_FAILED = 1
    UNUSABLE = 2
    """Wrong usage or configuration, a required server that does not answer, or a crash."""
    HELD = 3
    """Another run holds the lease of a table."""
    DIFFERENT = 4
    """Source and target differ; with `plan --detailed-exitcode`: there are statements to apply."""


def interrupted(signum: int) -> int:
    """Exit code after a signal, by the shell's convention: 130 after SIGINT, 143 after SIGTERM."""
    return 128 + signum
