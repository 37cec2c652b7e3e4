"""A worker that does nothing but tick: `python -m tests.stress.system.ticker CONFIG SECONDS`.

It reads the configuration again whenever the file has changed, and ends at SIGTERM after the load batch under way. At
SIGUSR1 it writes where its threads are. PGSNOW_SMALL_PARTS: a part file has 50 rows.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from pgsnow.config.load import load_config, load_settings
from pgsnow.model.errors import PgsnowError
from pgsnow.sync.engine import Engine
from tests.small_parts import make_parts_small


def main(config: str, every: str) -> int:
    if "PGSNOW_SMALL_PARTS" in os.environ:
        make_parts_small()
    faulthandler.register(signal.SIGUSR1)
    file, ended = Path(config), threading.Event()
    while not ended.is_set():
        seen = file.stat().st_mtime_ns
        with Engine(load_config(file), load_settings()) as engine:
            signal.signal(signal.SIGTERM, partial(_end, ended, engine))
            while file.stat().st_mtime_ns == seen and not ended.wait(float(every)):
                try:
                    engine.tick(due_only=True)
                except PgsnowError as error:
                    print(type(error).__name__, error, flush=True)
    return 0


def _end(ended: threading.Event, engine: Engine, *_: object) -> None:
    ended.set()
    engine.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
