"""One tick in a process of its own, killed at a named point: `python -m tests.faults.one_tick CONFIG [PHASE [NTH]]`.

Settings come from the environment. The point is one of the engine's phases, reached for the nth time; the process kills
itself there with SIGKILL, so nothing is flushed, closed or said. PGSNOW_SMALL_PARTS: 50 rows are a part file.
PGSNOW_SMALL_RANGES: keys are compared in small ranges. PGSNOW_RESYNC: it is a resync. PGSNOW_KILL_IN: the process kills
itself in place of a step that is no phase: `before` or `after`, a module and the name of a function or method in it,
such as `after pgsnow.ledger.slots.store Slots.advance`.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pgsnow.config.load import load_config, load_settings
from pgsnow.model.report import Status
from pgsnow.sync.engine import Engine
from pgsnow.testing.faults import KillAt
from tests.small_parts import make_parts_small
from tests.small_ranges import small_ranges

LOCKED = 3
"""Exit code if another process, which may be a killed one, has the table."""


def kill_in(when: str, module: str, name: str) -> None:
    """Let this function kill the process when it is called: before it does anything, or when it has succeeded."""
    *outer, last = name.split(".")
    place: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    original = getattr(place, last)

    @functools.wraps(original)
    def killing(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, last, killing)


def main(config: str, phase: str | None = None, nth: str = "1") -> int:
    if "PGSNOW_SMALL_PARTS" in os.environ:
        make_parts_small()
    if step := os.environ.get("PGSNOW_KILL_IN"):
        kill_in(*step.split())
    sizes = small_ranges() if "PGSNOW_SMALL_RANGES" in os.environ else nullcontext()
    observer = {"observer": KillAt(phase, int(nth))} if phase else {}
    with sizes, Engine(load_config(Path(config)), load_settings(), **observer) as engine:  # type: ignore[arg-type]
        report = engine.tick(resync="PGSNOW_RESYNC" in os.environ)
    if any(table.status is Status.LOCKED for table in report.tables):
        return LOCKED
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
