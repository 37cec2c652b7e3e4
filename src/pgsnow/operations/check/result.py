"""Result of one check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pgsnow.model.errors import PgsnowError


class Level(StrEnum):
    """Severity of a result."""

    OK = "ok"
    WARNING = "warning"
    """It works, with the drawback that `detail` states."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check. fix: how to fix the problem, as a statement where there is one; '' for ok."""

    name: str
    level: Level
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "level": self.level.value, "detail": self.detail, "fix": self.fix}


def ok(name: str, detail: str) -> CheckResult:
    return CheckResult(name, Level.OK, detail)


def warning(name: str, detail: str, fix: str) -> CheckResult:
    return CheckResult(name, Level.WARNING, detail, fix)


def failed(name: str, detail: str, fix: str) -> CheckResult:
    return CheckResult(name, Level.FAILED, detail, fix)


@contextmanager
def failing_as(name: str, note: Callable[[CheckResult], None]) -> Iterator[None]:
    """Turn a PgsnowError of the block into a failed result with the error's advice; the code after the block
    runs."""
    try:
        yield
    except PgsnowError as error:
        note(failed(name, str(error), error.advice))
