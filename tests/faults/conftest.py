"""Worlds for tests of faults, and shorter waits."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pgsnow.snowflake import session as snowflake_session
from pgsnow.sync.load import session
from pgsnow.testing.proxy import FaultProxy
from tests.faults.matrix.loads import LOADS, Load
from tests.faults.matrix.trial import Trial
from tests.servers import new_bucket, own_database
from tests.world import MemoryWorld, World


class Trials:
    """A world for each load, which its cases share: each of them leaves source and target equal. A case that fails
    leaves another world to the next."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request, self._folder = request, folder
        self._open: dict[str, tuple[Trial, ExitStack]] = {}

    def of(self, load: str) -> Trial:
        if load not in self._open:
            stack = ExitStack()
            trial = self._made(LOADS[load], stack)
            stack.callback(trial.close)
            self._open[load] = trial, stack
        return self._open[load][0]

    def close(self, load: str) -> None:
        trial, stack = self._open.pop(load)
        trial.heal()
        stack.close()

    def close_all(self) -> None:
        for load in list(self._open):
            self.close(load)

    def _made(self, load: Load, stack: ExitStack) -> Trial:
        get = self._request.getfixturevalue
        dsn = stack.enter_context(own_database(get("postgres"), get("world_template")))
        postgres = stack.enter_context(FaultProxy(urlsplit(dsn).port or 0))
        if load.target == "memory":
            memory = MemoryWorld(dsn, self._folder)
            stack.callback(memory.close)
            return Trial(memory, load, postgres)
        emulator, name = get("emulator"), f"T_{secrets.token_hex(6).upper()}"
        emulator.create_database(name)
        stack.callback(emulator.drop_database, name)
        env = {"POSTGRES_DSN": dsn, **emulator.settings_env(database=name)}
        target, bucket = stack.enter_context(FaultProxy(emulator.port)), None
        if load.bucket:
            store = get("s3_store")
            env |= new_bucket(store)
            bucket = stack.enter_context(FaultProxy(urlsplit(store).port or 0))
        world = World(env, emulator, self._folder)
        world.target_reader = get("target_reader")
        stack.callback(world.close)
        return Trial(world, load, postgres, target, bucket)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    found = Trials(request, tmp_path_factory.mktemp("matrix"))
    yield found
    found.close_all()


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to Snowflake that gets no answer is repeated for a second, and a failed action after a moment."""
    for name in ("LOGIN_SECONDS", "LOGIN_RETRY_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(snowflake_session, name, 1)
    monkeypatch.setattr(session, "LONGEST_WAIT", 0.1)
