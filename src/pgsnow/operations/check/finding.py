"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pgsnow.model.errors import PgsnowError


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, with a drawback that is told."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check. `fix` says what to do about it, word for word where that can be said; empty when all is well."""

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
    """An error of the block becomes a failed finding with the error's own advice; what is after the block goes on."""
    try:
        yield
    except PgsnowError as error:
        note(failed(name, str(error), error.advice))
