"""What is measured on whole jobs: one way of bringing the users' table to Snowflake and keeping it there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.certificate import Certificate
from benchmarks.emulator import Emulator
from benchmarks.process_tree import Spent, run

SECONDS = 900.0
"""No job may take longer."""
DATABASE = "BENCH"


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """One measurement's servers and scratch folder. The emulator has an empty database BENCH."""

    folder: Path
    dsn: str
    emulator: Emulator
    certificate: Certificate | None
    venvs: Path

    def pgsnow_env(self) -> dict[str, str]:
        return {"POSTGRES_DSN": self.dsn, **self.emulator.settings_env(DATABASE)}


@dataclass(frozen=True, slots=True)
class Done:
    """One job: what it cost the client, and what a tool tells of itself."""

    spent: Spent
    told: Mapping[str, Any] = field(default_factory=dict)


Job = Callable[[], Done]
"""The same call again and again: the first one brings everything, the next ones what has changed."""


class Contestant(Protocol):
    name: str
    """As the tables call it."""
    packages: tuple[str, ...]
    """Its environment; () for pgsnow's own."""
    folder: str
    """That environment's name in the cache; may be shared."""
    target: str
    """The table in the emulator that holds the users afterwards, qualified, in SQL."""

    most_rows: int
    """So many users are enough for it; 0: all."""

    def open(self, place: ColumnMapping) -> Any:
        """A context manager that gives a Job."""

    def version(self, _venvs: Path, /) -> str: ...


@contextmanager
def command(argv: list[str], env: Mapping[str, str], place: ColumnMapping) -> Iterator[Job]:
    """A job that is one and the same command each time, started from nothing."""
    yield lambda: once(argv, env, place)


def once(argv: list[str], env: Mapping[str, str], place: ColumnMapping) -> Done:
    return Done(run(argv, {**usual_env(), **env}, place.folder, place.folder / "output.log", SECONDS))


def usual_env() -> dict[str, str]:
    """This process's, but Python keeps its byte code, as it does for whatever is installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
