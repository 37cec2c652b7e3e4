"""The processes that sync in an episode: a Celery worker with beat, and two programs that tick, one of which may have a
clock of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from pgsnow.embedded.child import die_with_parent
from tests.acceptance.backend_processes import BACKEND
from tests.stress.system.servers import Servers

ROOT = Path(__file__).parents[3]
CLOCK = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
END_SECONDS = 300
TICKER = ["-m", "tests.stress.system.ticker"]


@dataclass
class Workers:
    """Started, ended and started again while the episode goes on; used by one lane at a time, which `lock` is for."""

    servers: Servers
    folder: Path
    env: Mapping[str, str]
    settings: Mapping[str, object]
    counts: Counter[str]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "sync_config.yaml"

    def start(self) -> None:
        for name in ("worker", "beat", "ticker 0", "ticker 1"):
            self.begin(name)

    def begin(self, name: str) -> None:
        """Start this process, unless it runs."""
        known = self._running.get(name)
        if known is not None and known.poll() is None:
            return
        self._running[name] = self.servers.launch(lambda: self._spawn(name))

    def end(self, name: str, how: str, seconds: float) -> None:
        """kill: with SIGKILL; stop: with SIGTERM; freeze: SIGSTOP for so long. Then it is started again."""
        if name == "worker's child":
            self._kill_a_child()
            return
        process = self._running.get(name)
        if process is None or process.poll() is not None:
            self.begin(name)
            return
        self.counts[f"{name}: {how}"] += 1
        if how == "freeze":
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
            return
        self._end(process, how)
        self.begin(name)

    def stop_all(self) -> list[str]:
        """All with SIGTERM. Returns those that did not end."""
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        late = []
        until = time.monotonic() + END_SECONDS
        for name, process in self._running.items():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                late.append(
                    f"{name} did not end within {END_SECONDS} s of SIGTERM; its log says where it was"
                )
                if name.startswith("ticker"):
                    process.send_signal(signal.SIGUSR1)
                    time.sleep(2)
            _kill_group(process)
        self._running.clear()
        return late

    def kill_all(self) -> None:
        for process in self._running.values():
            _kill_group(process)
        self._running.clear()

    def restart(self, names: tuple[str, ...]) -> None:
        """As a deployment does it."""
        for name in names:
            if process := self._running.get(name):
                self._end(process, "stop")
            self.begin(name)

    def set_clock(self, seconds: int) -> None:
        """The clock of `ticker 1` differs by so much from now on."""
        (self.folder / "clock").write_text(f"{seconds:+d}")

    def send(self, what: str, seconds: float = 0.0) -> None:
        """Messages: a tick, several at once, the waiting ones again, late, or never."""
        with redis.Redis.from_url(self.servers.broker.url) as broker, suppress(redis.RedisError):
            if what in ("tick", "ticks at once"):
                from celery import Celery

                with Celery(broker=self.servers.broker.url) as client:
                    for _ in range(1 if what == "tick" else 5):
                        client.send_task("worker.sync.sync_postgres_to_snowflake")
                return
            waiting = broker.lrange("celery", 0, -1)
            self.counts[f"messages: {what}"] += len(waiting)
            if what != "again":
                broker.delete("celery")
                time.sleep(seconds)
            if what != "lost" and waiting:
                broker.rpush("celery", *waiting)

    def _kill_a_child(self) -> None:
        worker = self._running.get("worker")
        if worker is None:
            return
        found = subprocess.run(["pgrep", "-P", str(worker.pid)], capture_output=True, text=True, check=False)
        for pid in found.stdout.split()[-1:]:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            self.counts["worker's child: kill"] += 1

    def _end(self, process: subprocess.Popen[bytes], how: str) -> None:
        if how == "stop":
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)  # then an operator is impatient
        _kill_group(process)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        env = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ},
            **self.env, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "SYNC_CONFIG": str(self.config),
            "CELERY_BROKER_URL": self.servers.broker.url,
        }  # fmt: skip
        if self.settings["small_parts"]:
            env["PGSNOW_SMALL_PARTS"] = "1"
        if name == "ticker 1" and self.settings["odd_clock"] and CLOCK.exists():
            env |= {"LD_PRELOAD": str(CLOCK), "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                    "FAKETIME_CACHE_DURATION": "1", "DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
        pool = ["-P", str(self.settings["pool"]), "-c", "2", "--without-mingle", "--without-gossip"]
        celery = ["-m", "celery", "-A", "worker.celery_app"]
        args = {
            "worker": [*celery, "worker", "-l", "WARNING", *pool],
            "beat": [*celery, "beat", "-l", "WARNING", "-s", str(self.folder / "beat")],
        }.get(name, [*TICKER, str(self.config), "0.5"])
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *args], cwd=ROOT if name.startswith("ticker") else BACKEND, env=env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
