"""Statements of other tools that the emulator does not know: each put into words it does know, none left out.

Only what is needed for the tools to run; pgsnow itself says none of this.
"""

from __future__ import annotations


def understand() -> None:
    """Once a process, after the emulator's own repairs."""
