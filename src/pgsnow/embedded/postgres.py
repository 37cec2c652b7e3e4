"""A real PostgreSQL on loopback, from a wheel, as a child of this process."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pgsnow.embedded import process
from pgsnow.embedded.binaries import binaries_for, reachable, server_user
from pgsnow.embedded.process import Child, EmbeddedServer, EmbeddedServerFailed

SUPERUSER = "postgres"
DEFAULTS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "log_timezone": "UTC",
}
FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For servers that live as long as a test run: nothing survives a power cut, everything a killed process."""


class EmbeddedPostgres(EmbeddedServer):
    """One cluster in `data_dir`, made when there is none, superuser `postgres` trusted on loopback only.

    `config` adds to the server's settings. Data survive `stop` and `kill`. Works as root (the server then runs as
    another user) and as a normal user. The log is `<data_dir>.log`. One live owner per `data_dir`.
    """

    name = "postgres"

    def __init__(
        self, data_dir: Path | str, port: int | None = None, config: Mapping[str, str | int] = {}
    ) -> None:  # noqa: B006
        super().__init__(port)
        self.data_dir = Path(data_dir).absolute()
        self._config = {**DEFAULTS, **config}
        self._lock: IO[str] | None = None

    def dsn(self, dbname: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{dbname}"

    def launch(self) -> None:
        if self.pid is None:
            self._own()
            _stop_orphan(self.data_dir)
        super().launch()

    def stop(self) -> None:
        super().stop()
        self._disown()

    def kill(self) -> None:
        super().kill()
        self._disown()

    def _spawn(self) -> Child:
        user = server_user()
        binaries = binaries_for(user)
        if not (self.data_dir / "PG_VERSION").exists():
            _make_cluster(binaries, self.data_dir, user)
        settings = [arg for name, value in self._config.items() for arg in ("-c", f"{name}={value}")]
        argv = [binaries / "postgres", "-D", self.data_dir.resolve(), "-p", str(self.port), *settings]
        return Child(argv, _beside(self.data_dir, ".log"), user=user, stop_signal=signal.SIGINT)

    def _ready(self) -> bool:
        lines = _pid_file(self.data_dir)
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _own(self) -> None:
        """Takes the directory for this process; the system gives it back when the process ends in any way."""
        if self._lock is not None:
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        lock = _beside(self.data_dir, ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmbeddedServerFailed(f"{self.data_dir} is in use by another process") from None
        self._lock = lock

    def _disown(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _beside(data_dir: Path, suffix: str) -> Path:
    return data_dir.with_name(data_dir.name + suffix)


def _pid_file(data_dir: Path) -> list[str]:
    """Lines of postmaster.pid: process id first, state eighth (PostgreSQL source, pidfile.h)."""
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _stop_orphan(data_dir: Path) -> None:
    """Ends a server that its killed parent left on this directory, and removes a pid file that is stale.

    PostgreSQL takes any live process with the id in postmaster.pid for its predecessor and refuses to
    start; after a kill -9 or a reboot that id often belongs to something else.
    """
    lines = _pid_file(data_dir)
    if not lines:
        return
    pid = int(lines[0]) if lines[0].lstrip("-").isdigit() else 0
    if pid > 0 and process.alive(pid) and _serves(pid, data_dir):
        os.kill(pid, signal.SIGINT)
        if not process.wait_for(lambda: not process.alive(pid), process.STOP_SECONDS):
            os.kill(pid, signal.SIGKILL)
            process.wait_for(lambda: not process.alive(pid), process.STOP_SECONDS)
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _serves(pid: int, data_dir: Path) -> bool:
    command = process.command_line(pid)
    return "postgres" in command and str(data_dir.resolve()) in command


def _make_cluster(binaries: Path, data_dir: Path, user: pwd.struct_passwd | None) -> None:
    """A new cluster, complete or not there: made beside its place and moved."""
    home = _home_for(data_dir, user)
    work = Path(tempfile.mkdtemp(prefix="initdb-", dir=home.parent))
    if user is not None:
        os.chown(work, user.pw_uid, user.pw_gid)
    options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    made = subprocess.run(
        [str(binaries / "initdb"), "-D", str(work), *options],
        capture_output=True, text=True, check=False, cwd="/", **process.as_user(user),
    )  # fmt: skip
    if made.returncode != 0:
        shutil.rmtree(work)
        raise EmbeddedServerFailed(f"initdb failed: {made.stderr.strip()}")
    if home.exists():
        home.rmdir()
    work.rename(home)


def _home_for(data_dir: Path, user: pwd.struct_passwd | None) -> Path:
    """Where the cluster really lives: in `data_dir`, or, when the server's user cannot enter the directory that
    holds it, in a directory of its own that `data_dir` links to."""
    if user is None or reachable(data_dir.parent, user):
        return data_dir
    if data_dir.exists():
        data_dir.rmdir()
    shelter = Path(tempfile.mkdtemp(prefix="pgsnow-", dir="/var/tmp"))
    shelter.chmod(0o711)
    data_dir.unlink(missing_ok=True)
    data_dir.symlink_to(shelter / data_dir.name)
    return shelter / data_dir.name
