"""Scripted faults strike where they are told to, and once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from pgsnow.testing.faults import PauseAt, RaiseAt
from tests.progress import CEILING


@dataclass(frozen=True)
class Event:
    phase: str
    table: str = "public.users"


class BrokenOnPurpose(Exception):
    pass


def test_it_raises_at_the_nth_time_and_never_again() -> None:
    fault = RaiseAt("merged", BrokenOnPurpose(), nth=2)
    fired = []
    fault(Event("merged"))
    fired.append(fault.fired)
    with pytest.raises(BrokenOnPurpose):
        fault(Event("merged"))
    fired.append(fault.fired)
    fault(Event("merged"))
    assert fired == [False, True]


def test_other_phases_and_tables_do_not_count() -> None:
    fault = RaiseAt("put", BrokenOnPurpose(), table="public.users")
    fault(Event("copied"))
    fault(Event("put", "public.orders"))
    with pytest.raises(BrokenOnPurpose):
        fault(Event("put"))


def test_a_killed_process_runs_no_handler() -> None:
    script = (
        "import atexit; from types import SimpleNamespace as E; from pgsnow.testing.faults import KillAt;"
        "atexit.register(print, 'cleaned up'); KillAt('put')(E(phase='put', table='t')); print('survived')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == ""


def test_a_paused_run_goes_on_when_it_is_resumed() -> None:
    pause = PauseAt("read")
    run = threading.Thread(target=pause, args=(Event("read"),))
    run.start()
    assert pause.reached.wait(CEILING)
    assert run.is_alive()
    pause.resume()
    run.join(10)
    assert not run.is_alive()


def test_a_forgotten_pause_fails_by_name() -> None:
    with pytest.raises(TimeoutError, match="'read'"):
        PauseAt("read", seconds=0)(Event("read"))
