"""python -m pgsnow.embedded.snowflake --port 8085 --dir .pgsnow/snowflake"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from pgsnow.embedded.snowflake.server import create_app

GRACE_SECONDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="pgsnow.embedded.snowflake", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    arguments = parser.parse_args()
    app = create_app(arguments.dir)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
