"""Any history of transactions and ticks: after an audit and the read that follows it, no row is missing.

The server is simulated, so that a history may do whatever commits, savepoints and clocks can do; the rules for
checkpoints and for judging rows are the product's own. tests/stress runs the same against a real server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import event, given
from hypothesis import strategies as st

from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.postgres.incremental.audit import Suspect, after_audit, judge
from pgsnow.postgres.incremental.next_checkpoint import ReadPoint, bounding_low, next_checkpoint
from pgsnow.postgres.incremental.window import UNBOUNDED
from tests.unit.postgres.plans import HERE


def moment(seconds: float) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


@dataclass
class Transaction:
    began: int
    xid: int | None = None
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """watermark: as moment. honest: it is not before its transaction began."""

    number: int
    xid: int
    watermark: str
    honest: bool


@dataclass
class Simulation:
    """A server with one table, and its reader. The clock moves by one second with each step. audit_every: 240 s leave
    out marks that are less than 5 s apart; when an audit is due is not simulated."""

    audit_every: float
    clock: int = 0
    next_xid: int = 100
    next_row: int = 0
    open: list[Transaction] = field(default_factory=list)
    visible: list[Row] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    checkpoint: Checkpoint | None = None
    horizon: Horizon | None = None
    late: list[Row] = field(default_factory=list)

    def begin(self) -> None:
        self.open.append(Transaction(self.clock))

    def write(self, which: int, age: int, *, savepoint: bool) -> None:
        """A row whose watermark is the present less `age` seconds."""
        transaction = self.open[which % len(self.open)]
        if transaction.xid is None:
            transaction.xid = self.new_xid()
        xid = self.new_xid() if savepoint else transaction.xid
        stamp = self.clock - age
        self.next_row += 1
        transaction.rows.append(Row(self.next_row, xid, moment(stamp), stamp >= transaction.began))

    def new_xid(self) -> int:
        self.next_xid += 1
        return self.next_xid - 1

    def commit(self, which: int) -> None:
        self.visible += self.open.pop(which % len(self.open)).rows

    @property
    def running(self) -> list[int]:
        return sorted(t.xid for t in self.open if t.xid is not None)

    def take_horizon(self) -> None:
        low = moment(min([self.clock, *(t.began for t in self.open)]))
        running = tuple(self.running)
        self.horizon = Horizon(HERE, moment(self.clock), low, running=running, next_xid=self.next_xid)

    def tick(self, *, audit: bool) -> None:
        """An audit and a read, from the last horizon."""
        assert self.horizon is not None
        before = self.checkpoint
        if before is not None and audit:
            before = self.audited(before)
        x = min([self.next_xid, *self.running])
        found = [row for row in self.visible if before is None or shows(before, row)]
        self.read |= {row.number for row in found}
        seen = (set() if before is None else before.seen) | (
            set() if before is None else {r.xid for r in found}
        )
        point = ReadPoint(ReadMode.WATERMARK, x, self.next_xid, audit_every=self.audit_every)
        self.checkpoint = next_checkpoint(before, self.horizon, point, full=before is None, seen=seen)

    def audited(self, checkpoint: Checkpoint) -> Checkpoint:
        """What the audit's statement finds, judged."""
        marks = [mark for mark in checkpoint.trail if mark.low != UNBOUNDED]
        suspects = []
        for row in self.visible:
            below = frozenset(at for at, mark in enumerate(marks) if row.watermark < mark.low)
            if below and row.xid not in checkpoint.reread:
                suspects.append((row, Suspect(row.xid, below, 1)))
                alone = judge(marks, [suspects[-1][1]], 0, "")
                self.late += [row] * alone.late_rows
        x = min([self.next_xid, *self.running])
        return after_audit(checkpoint, judge(marks, [found for _, found in suspects], x, moment(self.clock)))


def shows(checkpoint: Checkpoint, row: Row) -> bool:
    """Whether the next read after this checkpoint finds the row: the window's condition."""
    bound = UNBOUNDED if checkpoint.mode is ReadMode.XMIN else bounding_low(checkpoint)
    in_window = row.xid >= checkpoint.x and row.xid not in checkpoint.seen
    return (in_window and (bound == UNBOUNDED or row.watermark >= bound)) or row.xid in checkpoint.again


STEPS = st.one_of(
    st.just(("begin",)),
    st.tuples(st.just("write"), st.integers(0, 3), st.sampled_from([0, 0, 1, 3, 9, 40]), st.booleans()),
    st.tuples(st.just("commit"), st.integers(0, 3)),
    st.just(("horizon",)),
    st.tuples(st.just("tick"), st.booleans()),
)


@given(st.lists(STEPS, min_size=10, max_size=80), st.sampled_from([0.0, 240.0]))
def test_nothing_is_missing_after_an_audit_and_nothing_honest_is_late(
    steps: list[tuple[object, ...]], audit_every: float
) -> None:
    world = Simulation(audit_every)
    world.take_horizon()
    world.tick(audit=False)
    for step in steps:
        run(world, step)
        world.clock += 1
    while world.open:
        world.commit(0)
    world.take_horizon()
    world.tick(audit=True)
    assert [row for row in world.visible if row.number not in world.read] == []
    assert [row for row in world.late if row.honest] == []
    event(f"late rows: {bool(world.late)}")


def run(world: Simulation, step: tuple[object, ...]) -> None:
    match step:
        case ("begin",):
            world.begin()
        case ("write", int(which), int(age), bool(savepoint)) if world.open:
            world.write(which, age, savepoint=savepoint)
        case ("commit", int(which)) if world.open:
            world.commit(which)
        case ("horizon",):
            world.take_horizon()
        case ("tick", bool(audit)):
            world.tick(audit=audit)
