"""One full read of `public.t` in a process of its own: `python -m tests.integration.postgres.read_alone DSN`.

Prints JSON: the keys that came, what was rejected, the payloads of those, and the most memory used in MB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pgsnow.postgres.read.by_key import payloads
from tests.integration.postgres.lab import lab_in


def peak_megabytes() -> int:
    """Of this program alone: ru_maxrss would begin with what the process was before it became this program."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def main(dsn: str) -> None:
    with lab_in(dsn) as lab:
        follower = lab.follow()
        follower.tick()
        keys = [rejected.key for rejected in follower.rejected]
        print(
            json.dumps(
                {
                    "keys": sorted(follower.copy),
                    "rejected": {rejected.key["id"]: rejected.reason for rejected in follower.rejected},
                    "payloads": payloads(lab.admin, follower.plan, keys),
                    "megabytes": peak_megabytes(),
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1])
