"""Where the emulator still differs from Snowflake, statement by statement; docs/emulator.md lists the same rows."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from tests.integration.embedded.clients import attempt, connect, run
from tests.integration.embedded.differences import ACCEPTED, REJECTED, Difference, section
from tests.unit.project.markdown import ROOT


def accepted(env: Mapping[str, str], rows: Sequence[Difference]) -> list[str]:
    """The statements that the emulator accepts; each in a schema of its own."""
    found = []
    with contextlib.closing(connect(env)) as connection:
        for number, row in enumerate(rows):
            run(connection, f"CREATE SCHEMA S_{number}", f"USE SCHEMA S_{number}", *row.before, "SELECT 1")
            if attempt(connection, row.statement) is None:
                found.append(row.statement)
    return found


def test_the_emulator_accepts_what_the_page_says_and_snowflake_rejects(
    snowflake_env: Mapping[str, str],
) -> None:
    """A row that the emulator rejects by now is to be removed."""
    assert accepted(snowflake_env, ACCEPTED) == [row.statement for row in ACCEPTED]


def test_the_emulator_rejects_what_the_page_says_and_snowflake_accepts(
    snowflake_env: Mapping[str, str],
) -> None:
    """A row that the emulator accepts by now is to be removed."""
    assert accepted(snowflake_env, REJECTED) == []


def test_the_page_has_these_rows() -> None:
    """Made by `python -m tests.integration.embedded.differences`."""
    assert section() in (ROOT / "docs/emulator.md").read_text()
