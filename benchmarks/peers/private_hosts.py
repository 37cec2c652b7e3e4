"""For tools that require https://<account>.snowflakecomputing.com: a private /etc/hosts, and a server for the
revocation queries of the Go driver (without an answer it waits seconds, at login and at each PUT). Linux, as root."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from benchmarks.certificate import HOST
from benchmarks.emulator import TLS_HOST

OCSP_HOST = "ocsp.snowflakecomputing.com"
MOUNTED = 'mount --bind "$0" /etc/hosts && exec "$@"'


def with_private_hosts(argv: list[str], folder: Path) -> list[str]:
    """The command in a separate mount namespace, where the account's host name resolves to the emulator."""
    hosts = folder / "hosts"
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{TLS_HOST} {HOST}\n{TLS_HOST} {OCSP_HOST}\n")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED, str(hosts), *argv]


def possible() -> bool:
    return os.name == "posix" and os.getuid() == 0 and Path("/usr/bin/unshare").exists()


class _Empty(http.server.BaseHTTPRequestHandler):
    """An empty cache of OCSP answers."""

    def do_GET(self) -> None:
        body = b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def ocsp_answers() -> Iterator[None]:
    server = http.server.ThreadingHTTPServer((TLS_HOST, 80), _Empty)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
