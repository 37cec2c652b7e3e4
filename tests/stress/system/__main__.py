"""The whole system under everything at once: `python -m tests.stress.system --minutes 10 [--seed N]`.

Episodes follow each other until the time is over: writers, definitions that change, workers and servers that are
killed, edits of the configuration and of targets, commands, lost and repeated messages, planned from a seed. After each
phase of an episode source and target must be equal. An episode that fails is written to a file, which
`python -m tests.stress.replay FILE` runs again, and then a shorter one is looked for.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pgsnow.sync.runtime.log import configure
from tests.stress.system.plan import plan
from tests.stress.system.run import compressed, run
from tests.stress.system.script import Script
from tests.stress.system.servers import Servers, servers
from tests.stress.system.shrink import shrink

KEPT = Path("stress-failures")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--phases", type=int, default=3, help="of an episode")
    parser.add_argument("--seconds", type=float, default=40.0, help="of a phase")
    parser.add_argument("--shrink-minutes", type=float, default=10.0, help="for each failure; 0: none")
    given = parser.parse_args()
    configure(level=logging.CRITICAL)
    until, counts, failed, seed = time.monotonic() + given.minutes * 60, Counter[str](), 0, given.seed
    while seed == given.seed or time.monotonic() < until:
        script = plan(seed, phases=given.phases, seconds=given.seconds)
        with servers() as running:
            ended = run(script, running, say, keep=KEPT / f"seed-{seed}")
            counts.update(ended.counts)
            counts.update({"episodes": 1, "phases": ended.phase + 1})
            if ended.problem:
                failed += 1
                _keep(script.upto(ended.phase), ended.problem, given.shrink_minutes, running)
        seed += 1
    for name, count in sorted(counts.items()):
        say(f"{count:9} {name}")
    say(f"{failed} of {counts['episodes']} episodes failed")
    return 1 if failed else 0


def _keep(script: Script, problem: str, minutes: float, running: Servers) -> None:
    KEPT.mkdir(exist_ok=True)
    file = KEPT / f"seed-{script.seed}.json"
    script.write(file)
    file.with_suffix(".txt").write_text(problem + "\n")
    say(f"FAILED, {file}: {problem}")
    until, kind = time.monotonic() + minutes * 60, kind_of(problem)

    def fails(actions: Any) -> bool:
        again = run(script.having(compressed(actions)), running, lambda _text: None)
        say(f"  {len(actions)} actions: {kind_of(again.problem) or 'all well'}")
        return kind_of(again.problem) == kind

    if minutes:
        short = shrink(script.actions, fails, lambda: time.monotonic() < until)
        smallest = file.with_suffix(".short.json")
        script.having(compressed(short)).write(smallest)
        say(
            f"{len(short)} of {len(script.actions)} actions are left: python -m tests.stress.replay {smallest}"
        )


def kind_of(problem: str) -> str:
    """Failures of one kind have the same first words, without numbers and names of tables."""
    words = problem.split("\n", 1)[0].split()
    return " ".join(word for word in words if not any(c.isdigit() or c in "._" for c in word))[:40]


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
