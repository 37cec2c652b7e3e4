"""python -m pgsnow.embedded.snowflake --port 8085 --dir .pgsnow/snowflake"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

GRACE_SECONDS = 3
IDLE_SECONDS = 300.0
"""After this time without a request the real service too aborts a lost client's transaction."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="pgsnow.embedded.snowflake", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    arguments = parser.parse_args()
    _leave_out_the_aws_sdk()
    from pgsnow.embedded.snowflake.server import create_app

    app = create_app(arguments.dir, arguments.idle_seconds)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _leave_out_the_aws_sdk() -> None:
    """The connector, whose errors fakesnow raises, imports it where it is installed, to find out in which
    cloud a client runs. That takes a fifth of the start."""
    sys.modules["botocore"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    main()
