"""RabbitMQ as Debian packages it, for tests of another broker than the embedded one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgsnow.embedded.process import accepts, free_port
from tests.progress import wait_until

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script of the server itself; the one on PATH becomes another user first."""


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """URL of a broker without messages on loopback, ended with all its processes at the end."""
    ports = {name: free_port() for name in ("RABBITMQ_NODE_PORT", "RABBITMQ_DIST_PORT", "ERL_EPMD_PORT")}
    folder.mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"pgsnow{ports['RABBITMQ_NODE_PORT']}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        **{name: str(port) for name, port in ports.items()},
    }
    with (folder / "out").open("w") as output:
        process = subprocess.Popen(
            [PROGRAM], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(
            lambda: accepts(ports["RABBITMQ_NODE_PORT"]), lambda: (folder / "out").read_text(errors="replace")
        )
        yield f"amqp://guest:guest@127.0.0.1:{ports['RABBITMQ_NODE_PORT']}//"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if epmd := shutil.which("epmd"):
            stop = {"PATH": os.environ["PATH"], "ERL_EPMD_PORT": env["ERL_EPMD_PORT"], "HOME": str(folder)}
            subprocess.run([epmd, "-kill"], env=stop, check=False, capture_output=True)
