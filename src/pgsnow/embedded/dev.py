"""`pgsnow dev`: a stack that runs until it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from pgsnow.embedded.process import START_SECONDS, STOP_SECONDS, EmbeddedServerFailed, alive, wait_for
from pgsnow.embedded.stack import ENV_FILE, Ports, Stack
from pgsnow.embedded.stored import DirectoryLock

LOCK_FILE, LOG_FILE, READY_FILE = "dev.lock", "dev.log", "dev.ready"
LOOK_SECONDS = 0.5


def serve_dev(
    dir: Path, pg_port: int | None = None, snowflake_port: int | None = None, detach: bool = False
) -> None:
    """Runs Postgres and the emulator on DIR until `stop_dev(dir)`, SIGINT or SIGTERM; restarts servers that
    end.

    If they run there already, prints so and returns. `detach` returns once both answer and
    leaves them running. Call from the main thread. Raises EmbeddedServerFailed.
    """
    directory = dir.absolute()
    if detach:
        _spawn_detached(directory, pg_port, snowflake_port)
        return
    lock = DirectoryLock(directory / LOCK_FILE)
    if not lock.take():
        _await_ready(directory)
        _say(f"already up: {_where(directory)}")
        return
    try:
        _serve(directory, Stack(directory, pg_port, snowflake_port))
    finally:
        lock.release()


def stop_dev(dir: Path) -> None:
    """Stop the servers that `serve_dev` runs on DIR, and wait until they have ended. Data are kept."""
    directory = dir.absolute()
    owner = DirectoryLock(directory / LOCK_FILE).owner()
    if owner is None:
        Stack(directory).stop_orphans()
        _say(f"{directory}: nothing is running")
        return
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(owner, ending)
        if wait_for(lambda: not alive(owner), 2 * STOP_SECONDS):
            _say(f"{directory}: stopped, the data are kept")
            return
    raise EmbeddedServerFailed(f"{directory}: process {owner} does not end")


def _serve(directory: Path, stack: Stack) -> None:
    ready = directory / READY_FILE
    with _told_to_stop() as stopped, stack:
        ready.write_text(str(os.getpid()))
        _say(f"up: {_where(directory)}")
        while not stopped.wait(LOOK_SECONDS):
            for name in stack.restart_ended():
                _say(f"{name} had ended and was restarted")
        ready.unlink(missing_ok=True)


@contextlib.contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    stopped = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _spawn_detached(directory: Path, pg_port: int | None, snowflake_port: int | None) -> None:
    """Run the stack in a separate process, and wait until it is ready."""
    directory.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.executable,
        "-m",
        __name__,
        str(directory),
        str(pg_port or ""),
        str(snowflake_port or ""),
    ]
    log = directory / LOG_FILE
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    wait_for(lambda: process.poll() is not None or _ready(directory), 2 * START_SECONDS)
    if process.poll() not in (None, 0) or not _ready(directory):
        raise EmbeddedServerFailed(f"it did not come up:\n{_end_of(log)}", advice=f"Read {log}.")
    _say(f"up: {_where(directory)}")


def _ready(directory: Path) -> bool:
    """True if the current owner has written the file; one of a killed owner does not count."""
    owner = DirectoryLock(directory / LOCK_FILE).owner()
    try:
        return owner is not None and (directory / READY_FILE).read_text() == str(owner)
    except FileNotFoundError:
        return False


def _await_ready(directory: Path) -> None:
    if not wait_for(lambda: _ready(directory), START_SECONDS):
        raise EmbeddedServerFailed(f"{directory}: another process is starting it and does not get ready")


def _where(directory: Path) -> str:
    ports = Ports.remembered(directory)
    return (
        f"Postgres on port {ports.postgres}, Snowflake emulator on port {ports.snowflake}, "
        f"settings in {directory / ENV_FILE}"
    )


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    try:
        ports = [int(port) if port else None for port in given]
        serve_dev(Path(folder), ports[0], ports[1])
    except EmbeddedServerFailed as failure:
        sys.exit(f"{failure}\n{failure.advice}")
