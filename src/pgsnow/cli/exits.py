"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `$?` means."""

    OK = 0
    SOME_FAILED = 1
    UNUSABLE = 2
    """Wrong usage or configuration, a server that nothing works without, or a crash."""
    HELD = 3
    """Another run holds the lease on a table."""
    DIFFERENT = 4
    """Source and target differ; with `plan --detailed-exitcode`: there is something to apply."""


def interrupted(signum: int) -> int:
    """The shell's convention for a process ended by a signal: 130 after SIGINT, 143 after SIGTERM."""
    return 128 + signum
