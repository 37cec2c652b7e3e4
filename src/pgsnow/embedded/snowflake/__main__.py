"""python -m pgsnow.embedded.snowflake --port 8085 --dir .pgsnow/snowflake"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

GRACE_SECONDS = 3
IDLE_SECONDS = 300.0
"""Seconds without a request after which a transaction is aborted, as the real service does for a lost client."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="pgsnow.embedded.snowflake", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    _leave_out_the_aws_sdk()
    from pgsnow.embedded.snowflake.server import create_app

    app = create_app(arguments.dir, arguments.idle_seconds, arguments.threads)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _leave_out_the_aws_sdk() -> None:
    """Hide boto3 from the Snowflake connector, whose errors fakesnow raises. The connector imports it, if installed,
    to detect the client's cloud, which would take a fifth of the start."""
    sys.modules["botocore"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    main()
