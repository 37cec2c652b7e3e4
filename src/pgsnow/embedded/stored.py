"""Base class of servers with a data directory: one owner at a time; a killed owner's server is stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import IO

from pgsnow.embedded import process
from pgsnow.embedded.process import EmbeddedServerFailed
from pgsnow.embedded.server import EmbeddedServer


class DirectoryLock:
    """Exclusive lock of a directory, which the system releases when the process ends. The file holds the
    owner's id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """False if another process (or another lock of this one) has it. Idempotent."""
        if self._file is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def owner(self) -> int | None:
        """The process id of the current owner."""
        try:
            with self._path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except FileNotFoundError:
            pass
        return None


class StoredServer(EmbeddedServer):
    """Data in `data_dir`; beside it `<data_dir>.log`, `.lock` (the owner) and `.pid` (the server)."""

    def __init__(self, data_dir: Path | str, port: int | None = None) -> None:
        super().__init__(port)
        self.data_dir = Path(data_dir).absolute()
        self._lock = DirectoryLock(self.beside(".lock"))

    def beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(self.data_dir.name + suffix)

    def launch(self) -> None:
        """Start the process. Raises EmbeddedServerFailed if another process runs a server on this directory, or if
        the given port is taken."""
        if self.pid is not None:
            return
        if not self._lock.take():
            raise EmbeddedServerFailed(f"{self.data_dir} is in use by process {self._lock.owner()}")
        self.stop_orphan()
        super().launch()
        draft = self.beside(".pid.new")
        draft.write_text(str(self.pid))
        draft.replace(self.beside(".pid"))

    def stop(self) -> None:
        super().stop()
        self._forget()

    def kill(self) -> None:
        super().kill()
        self._lock.release()

    def stop_orphan(self) -> None:
        """Stop the server that a killed owner left running on this directory."""
        pid = self._recorded_pid()
        if pid is None or not self._serves_here(pid):
            return
        for ending, patience in (
            (self.stop_signal, process.STOP_SECONDS),
            (signal.SIGKILL, process.STOP_SECONDS),
        ):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, ending)
            if process.wait_for(lambda: not process.alive(pid), patience):
                return
        raise EmbeddedServerFailed(f"{self.name}: process {pid} of an earlier run does not end")

    def _recorded_pid(self) -> int | None:
        try:
            return int(self.beside(".pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _serves_here(self, pid: int) -> bool:
        """True if the process with this id is the server of this directory: its arguments must name the directory,
        because the id may belong to another process by now."""
        return process.alive(pid) and str(self.data_dir.resolve()) in process.command_line(pid)

    def _forget(self) -> None:
        self.beside(".pid").unlink(missing_ok=True)
        self._lock.release()
