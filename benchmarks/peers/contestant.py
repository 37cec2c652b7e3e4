"""Contract of a tool that is measured on whole jobs: it loads the users' table into Snowflake and updates it there."""

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
"""Time limit of one job."""
DATABASE = "BENCH"


@dataclass(frozen=True, slots=True)
class Setup:
    """Servers and scratch folder of one measurement. The emulator has an empty database BENCH."""

    folder: Path
    dsn: str
    emulator: Emulator
    certificate: Certificate | None
    venvs: Path

    def pgsnow_env(self) -> dict[str, str]:
        return {"POSTGRES_DSN": self.dsn, **self.emulator.settings_env(DATABASE)}


@dataclass(frozen=True, slots=True)
class Done:
    """Result of one job: its cost for the client, and figures that the tool itself reports."""

    spent: Spent
    told: Mapping[str, Any] = field(default_factory=dict)


Job = Callable[[], Done]
"""A job, which is called repeatedly: the first call loads everything, the next ones load the changes."""


class Contestant(Protocol):
    name: str
    """Name in the printed tables."""
    packages: tuple[str, ...]
    """Requirements of its environment; () for pgsnow's own environment."""
    folder: str
    """That environment's name in the cache; may be shared."""
    target: str
    """The table in the emulator that holds the users afterwards, qualified, in SQL."""

    most_rows: int
    """Number of users that it loads; 0: all."""

    def open(self, place: Setup) -> Any:
        """A context manager that gives a Job."""

    def version(self, _venvs: Path, /) -> str: ...


@contextmanager
def command(argv: list[str], env: Mapping[str, str], place: Setup) -> Iterator[Job]:
    """A job that starts the same command each time, as a new process."""
    yield lambda: once(argv, env, place)


def once(argv: list[str], env: Mapping[str, str], place: Setup) -> Done:
    return Done(run(argv, {**usual_env(), **env}, place.folder, place.folder / "output.log", SECONDS))


def usual_env() -> dict[str, str]:
    """This process's environment, but with Python's byte code cache, as for any installed program."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
