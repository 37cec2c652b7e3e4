"""The list of cases in docs/live-suite.md: `python -m tests.live.page` writes it there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.live.cases import CASES
from tests.live.contract import Case

PAGE = Path(__file__).parents[2] / "docs/live-suite.md"
LIST = re.compile(r"(?<=<!-- cases -->\n).*(?=<!-- end -->)", re.DOTALL)


def listed() -> str:
    """A row for each case."""
    head = "| pgsnow relies on | Snowflake's page | expected | the emulator, where it differs |\n|---|---|---|---|\n"
    return head + "".join(map(_row, CASES))


def filled(page: str) -> str:
    """The page with the list of today's cases."""
    return LIST.sub(lambda _: listed(), page)


def _row(case: Case) -> str:
    emulator = "" if case.emulator is None else _code(case.emulator)
    return f"| {case.promise} | {case.page} | {_code(case.expected)} | {emulator} |\n"


def _code(value: object) -> str:
    return f"`{value!r}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
