"""A worker in a process of its own, controlled through its standard input.

`python -m tests.integration.ledger.worker DSN SCHEMA LEASE_SECONDS` reads a line, does it, and answers with a line:
`claim TABLE` → granted or refused; `release` → released; `advance X` → moved or the name of the error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.errors import PgsnowError
from tests.integration.ledger.conformance import checkpoint
from tests.integration.ledger.crew import Dsn
from tests.progress import CEILING


class Worker:
    """The side inside the process: does what each line says."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._claims: list[Claim] = []

    def do(self, order: str) -> str:
        match order.split():
            case ["claim", table]:
                self._claims, _ = self._ledger.leases.claim(
                    [table], run_id=f"run-{os.getpid()}", holder=str(os.getpid())
                )
                return "granted" if self._claims else "refused"
            case ["release"]:
                self._ledger.leases.release(self._claims)
                return "released"
            case ["advance", x]:
                try:
                    self._ledger.checkpoints.advance(self._claims[0], checkpoint(x=int(x)))
                except PgsnowError as error:
                    return type(error).__name__
                return "moved"
        raise ValueError(order)


@dataclass
class Led:
    """The controlling side. Ends the process when the block ends."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, dsn: str, schema: str, lease_seconds: float = 600.0) -> Led:
        command = [sys.executable, "-m", "tests.integration.ledger.worker", dsn, schema, str(lease_seconds)]
        led = cls(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert led.hear() == "ready"
        return led

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, order: str) -> str:
        self.tell(order)
        return self.hear()

    def __enter__(self) -> Led:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=CEILING)


def main(dsn: str, schema: str, lease_seconds: str) -> None:
    worker = Worker(Ledger(Dsn(dsn), schema, lease_seconds=float(lease_seconds)))
    print("ready", flush=True)
    for line in sys.stdin:
        print(worker.do(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
