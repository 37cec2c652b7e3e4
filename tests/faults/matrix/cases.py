"""The cases of the matrix: a load, a point, and how it fails there. Each is carried out by one function of this module.

refused: the request does not arrive, and its connection is reset. lost: it is executed, and its answer does not arrive.
gone: from this request on, the server refuses all connections until the tick has ended. waits: it is held back while
another worker runs a tick. overtaken: it is held back, and the lease passes to another worker, which runs the table.
rejected: an error that does not pass by itself, before anything is done. fails: an error after the step is done.
killed before, killed after: the worker is killed while its request has not arrived, or has been executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgsnow.model.errors import PgsnowError, TargetQueryFailed, TargetUnavailable
from pgsnow.model.report import Status, TableReport
from pgsnow.testing.faults import PauseAt, RaiseAt
from pgsnow.testing.proxy import FaultProxy
from tests.faults.matrix.points import (
    BUCKET,
    IN_SNOWFLAKE,
    KILLED,
    LEDGER,
    PHASES,
    SOURCE,
    STATEMENTS,
    STEPS,
    TARGET,
)
from tests.faults.matrix.trial import Trial
from tests.progress import CEILING
from tests.world import MemoryWorld

Outcome = list[TableReport] | PgsnowError
"""Reports of the tick that met the fault, or the error that ended it."""
POSTGRES = ("SourceUnavailable", "LedgerUnavailable", "LogSessionUnavailable", "LeaseLost", "SlotBusy")
SNOWFLAKE = (
    "TargetUnavailable",
    "StagingUnavailable",
    "StageUnreachable",
    "StatementInterrupted",
    "LeaseLost",
)
OVERTAKEN = ("LeaseLost", "LeaseHeld", "LedgerUnavailable")


@dataclass(frozen=True)
class Case:
    """side: postgres, snowflake, bucket, step (of a load into memory) or phase. may_raise: errors that are right."""

    load: str
    side: str
    point: str
    how: str

    def __str__(self) -> str:
        return f"{self.load}: {self.side} {self.point} {self.how}"

    @property
    def may_raise(self) -> Sequence[str]:
        if self.how in ("overtaken", "waits"):
            return OVERTAKEN
        return {
            "postgres": POSTGRES,
            "snowflake": SNOWFLAKE,
            "bucket": SNOWFLAKE,
            "step": ("TargetQueryFailed", "TargetUnavailable"),
            "phase": ("UnexpectedError", "RuntimeError"),
        }[self.side]


KILLS = ("killed before", "killed after")
ON_THE_WIRE = ("refused", "lost", "gone", "overtaken")


def _cases(side: str, points: Mapping[str, Sequence[str]], ways: Sequence[str]) -> Iterator[Case]:
    for load, found in points.items():
        yield from (Case(load, side, point, how) for point in found for how in ways)


HOLDING = {load: ("rows" if "rows" in found else "stage",) for load, found in STATEMENTS.items()}
CASES = (
    *_cases("postgres", STATEMENTS, ON_THE_WIRE),
    *_cases("postgres", HOLDING, ("waits",)),
    *_cases("step", STEPS, ("rejected", "fails")),
    *_cases("phase", PHASES, ("fails", "overtaken")),
    *_cases("snowflake", IN_SNOWFLAKE, (*ON_THE_WIRE, *KILLS)),
    *_cases("bucket", {"bucket": tuple(BUCKET)}, (*ON_THE_WIRE, *KILLS)),
    *_cases("postgres", KILLED, KILLS),
)


def carry_out(trial: Trial, case: Case) -> Outcome:
    """Change the source, and run a tick that meets the fault. Asserts that it did."""
    trial.change()
    if case.side == "step":
        return _in_step(trial, case)
    if case.side == "phase":
        return _after_phase(trial, case)
    proxy = {"postgres": trial.postgres, "snowflake": trial.target, "bucket": trial.bucket}[case.side]
    assert proxy is not None
    text = {"postgres": {**LEDGER, **SOURCE}, "snowflake": TARGET, "bucket": BUCKET}[case.side][case.point]
    if case.how in KILLS:
        return _killed(trial, proxy, text, case)
    if case.how in ("refused", "lost"):
        return _once(trial, proxy, text, case)
    return _held(trial, proxy, text, case)


def _once(trial: Trial, proxy: FaultProxy, text: bytes, case: Case) -> Outcome:
    before = proxy.tripped
    proxy.behave(**{"refuse_request" if case.how == "refused" else "lose_reply": text})
    outcome = trial.tick()
    assert proxy.tripped == before + 1, "the tick did not get there"
    return outcome


def _held(trial: Trial, proxy: FaultProxy, text: bytes, case: Case) -> Outcome:
    proxy.behave(hold_request=text)
    wait = trial.tick_in_thread()
    assert proxy.wait_until_holding(60), "the tick did not get there"
    if case.how == "gone":
        proxy.behave(refuse=True)
        proxy.reset()
        return wait()
    return _meanwhile(trial, case, proxy.release, wait)


def _killed(trial: Trial, proxy: FaultProxy, text: bytes, case: Case) -> Outcome:
    proxy.behave(**{"hold_request" if case.how == "killed before" else "hold_replies": text})
    worker = trial.worker()
    try:
        assert proxy.wait_until_holding(CEILING), "the tick did not get there"
    finally:
        worker.kill()
        worker.wait()
    if case.how == "killed before":
        proxy.reset()
    return []


def _after_phase(trial: Trial, case: Case) -> Outcome:
    if case.how == "fails":
        fault = RaiseAt(case.point, RuntimeError("an error that pgsnow does not know"))
        outcome = trial.tick(fault)
        assert fault.fired, "the tick did not get there"
        return outcome
    pause = PauseAt(case.point)
    wait = trial.tick_in_thread(pause)
    assert pause.reached.wait(60), "the tick did not get there"
    return _meanwhile(trial, case, pause.resume, wait)


def _meanwhile(trial: Trial, case: Case, go_on: Callable[[], None], wait: Callable[[], Outcome]) -> Outcome:
    """Another worker runs a tick while the first is held."""
    try:
        if case.how == "overtaken":
            trial.overtaken()
        else:
            with trial.other_worker() as engine:
                [report] = engine.tick(requested=True).tables
                assert report.status is Status.LOCKED
    finally:
        go_on()
    return wait()


def _in_step(trial: Trial, case: Case) -> Outcome:
    """A statement that is rejected is an error of the table; one whose answer is lost is repeated."""
    world = trial.world
    assert isinstance(world, MemoryWorld)
    lost = case.how == "fails"
    error = (
        TargetUnavailable("the answer was lost")
        if lost
        else TargetQueryFailed("rejected", advice="Correct it.")
    )
    world.warehouse.fail(case.point, error, after=lost)
    outcome = trial.tick()
    assert not world.warehouse._faults, "the tick did not get there"
    return outcome
