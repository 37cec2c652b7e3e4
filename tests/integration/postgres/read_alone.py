"""One full read of `public.t` in a process of its own: `python -m tests.integration.postgres.read_alone DSN`.

Prints JSON: the keys that came, what was rejected, the payloads of those, and the most memory used in MB.
"""

from __future__ import annotations

import json
import resource
import sys

from pgsnow.postgres.read import payloads
from tests.integration.postgres.lab import lab_in


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
                    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1])
