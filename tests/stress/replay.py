"""Runs an episode of the system stress again: `python -m tests.stress.replay FILE [--times N]`.

Exit code 1 if it fails."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.stress.system.run import run
from tests.stress.system.script import Script
from tests.stress.system.servers import servers


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--times", type=int, default=1, help="until it fails, at most")
    given = parser.parse_args()
    script = Script.read(given.file)
    for _ in range(given.times):
        with servers() as running:
            ended = run(script, running, keep=given.file.with_suffix(""))
        print(ended.problem or "all well", flush=True)
        if ended.problem:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
