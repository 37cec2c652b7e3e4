"""The stock emulator beside ours: everything that a repair fixes must still be broken there."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pgsnow.embedded.child import Child
from pgsnow.embedded.process import accepts
from pgsnow.embedded.server import EmbeddedServer
from tests.integration.embedded.clients import settings_of


class StockEmulator(EmbeddedServer):
    """fakesnow as it comes, everything in memory. It makes a database at the first login that names it."""

    name = "stock emulator"

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def _spawn(self) -> Child:
        argv = [sys.executable, "-m", "uvicorn", "fakesnow.server:app", "--port", str(self.port)]
        environment = {**os.environ, "TMPDIR": str(self._log.parent)}
        return Child([*argv, "--log-level", "critical"], self._log, env=environment)

    def _ready(self) -> bool:
        return accepts(self.port)


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockEmulator]:
    with StockEmulator(tmp_path_factory.mktemp("stock") / "server.log") as server:
        yield server


@pytest.fixture
def stock_env(stock: StockEmulator) -> Mapping[str, str]:
    """SNOWFLAKE_* that lead to an empty database of the stock emulator."""
    return settings_of(stock.port, f"T_{secrets.token_hex(6).upper()}")
