"""The Celery task, and a command that runs the same sync without Celery.

From the application:   sync_postgres_to_snowflake.delay(["public.users"])
By hand, in backend/:   python -m worker.sync public.users
"""

from __future__ import annotations

import json
import sys

from pgsnow.sync.runtime.log import configure

from .celery_app import sync_postgres_to_snowflake
from .sync_utils import sync_now

__all__ = ["main", "sync_postgres_to_snowflake"]


def main(tables: list[str]) -> int:
    """Sync these tables (all of them if none is named) now, print the report, and return 1 if one failed."""
    configure("console", sys.stderr)
    report = sync_now(tables or None)
    json.dump(report.to_json(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
