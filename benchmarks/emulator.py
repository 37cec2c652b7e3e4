"""The emulator for other tools: pgsnow's emulator over HTTP and HTTPS, with the additional statements they send.

    python -m benchmarks.emulator --port 8085 --dir DIR [--tls-host 127.7.7.7 --cert FILE --key FILE]

It is one process, so that its CPU seconds are those of the whole service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.certificate import Certificate
from pgsnow.embedded.child import Child
from pgsnow.embedded.snowflake import EmbeddedSnowflake

TLS_HOST, TLS_PORT = "127.7.7.7", 443
IDLE_SECONDS = 300.0
CHECKPOINT_AT = "16GB"
"""Size of DuckDB's log at which it rewrites its file, which happens during some client's COMMIT. Large, because
Snowflake does nothing like it; what was acknowledged is on disk in any case."""


class Emulator(EmbeddedSnowflake):
    """An EmbeddedSnowflake that with a certificate also listens on https://127.7.7.7, which needs the permission to."""

    def __init__(self, data_dir: Path, certificate: Certificate | None = None) -> None:
        super().__init__(data_dir)
        self._certificate = certificate

    def _spawn(self) -> Child:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv: list[str] = [sys.executable, "-m", __name__, "--port", str(self.port), "--dir"]
        argv.append(str(self.data_dir.resolve()))
        if self._certificate is not None:
            argv += ["--tls-host", TLS_HOST]
            argv += ["--cert", str(self._certificate.chain), "--key", str(self._certificate.key)]
        here = str(Path(__file__).resolve().parents[1])  # the child starts elsewhere
        path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        return Child(argv, self.beside(".log"), env={**os.environ, "PYTHONPATH": path})


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--tls-host")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    given = parser.parse_args()
    sys.modules["botocore"] = None  # type: ignore[assignment] # as pgsnow.embedded.snowflake.__main__ does
    import fakesnow.server

    from benchmarks.peers.dialect import understand
    from pgsnow.embedded.snowflake.server import create_app

    app = create_app(given.dir, IDLE_SECONDS)
    understand()
    fakesnow.server.shared_fs.duck_conn.execute(f"SET GLOBAL checkpoint_threshold = '{CHECKPOINT_AT}'")
    servers = [uvicorn.Server(_config(app, "127.0.0.1", given.port))]
    if given.tls_host:
        servers.append(uvicorn.Server(_config(app, given.tls_host, TLS_PORT, given.cert, given.key)))
    asyncio.run(_serve(servers))


def _config(
    app: Any, host: str, port: int, cert: str | None = None, key: str | None = None
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=3,
        lifespan="off",
        ssl_certfile=cert,
        ssl_keyfile=key,
    )


async def _serve(servers: list[uvicorn.Server]) -> None:
    """Serve until one of the servers is stopped; uvicorn passes a signal to the last one that installed a handler."""
    tasks = [asyncio.create_task(server.serve()) for server in servers]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    main()
