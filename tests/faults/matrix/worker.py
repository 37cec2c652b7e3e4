"""One tick in a process of its own: `python -m tests.faults.matrix.worker CONFIG ARGUMENTS`, the latter as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pgsnow.config.load import load_config, load_settings
from pgsnow.sync.engine import Engine


def main(config: str, arguments: str) -> None:
    with Engine(load_config(Path(config)), load_settings()) as engine:
        engine.tick(**{"requested": True, **json.loads(arguments)})


if __name__ == "__main__":
    main(*sys.argv[1:])
