"""The contract of the ledger's stores as tests: subclass LedgerConformance where a fixture `crew` is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.ledger.claim import ChunkClaim, Claim
from pgsnow.ledger.history.loaded_files import LoadedFiles
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.queries import MAX_PAYLOAD, MAX_TEXT
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.backfill import Backfill, Blocks, ChunkCounts
from pgsnow.model.batch import Rejected
from pgsnow.model.checkpoint import Checkpoint, Mark, ReadMode, ServerIdentity, VirtualXids
from pgsnow.model.deferred_batch import Layout, StagedBatch
from pgsnow.model.errors import LeaseLost
from pgsnow.model.evolution.drift import ColumnDefinition, SourceDefinition
from pgsnow.model.report import Status, TableReport
from pgsnow.model.table import Leaf, TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import numeric
from tests.examples import rounds
from tests.progress import CEILING

HERE = ServerIdentity("7000000000000000001", 1)
USERS = "public.users"
SOURCE = SourceDefinition(
    16_400,
    USERS,
    "p",
    "DB.S.USERS",
    ("id",),
    "a1b2",
    (Leaf(16_500, "public.users_1", "16500:16500"),),
    (
        ColumnDefinition(1, "id", "bigint", "NUMBER(38,0)", "ID", "NUMBER(38,0)", "ID", not_null=True),
        ColumnDefinition(
            3, "mood", "mood", "VARCHAR", "MOOD__VARCHAR", "VARCHAR", "MOOD", True, labels=("a", "b")
        ),
        ColumnDefinition(None, "made", snowflake="VARCHAR", target="MADE", holds="VARCHAR", base="MADE"),
    ),
    (("OLD", "FLOAT"),),
)
BLOCKS = (Blocks(0, 10), Blocks(10, None))
_serial = count(1)
EXPECTED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow]
"""Each example uses a table of its own, so a fixture that is shared among examples does no harm."""


class Crew(Protocol):
    """Several workers that share one ledger, and the failures that may happen to them."""

    def worker(self) -> Ledger:
        """Another worker, with a session of its own."""

    def kill(self, worker: Any) -> None:
        """End its session, as kill -9 or a cut cable would."""

    def expire(self, table: str) -> None:
        """Let the lease of this table run out."""

    def age_success(self, table: str, seconds: float) -> None:
        """Move the last success this many seconds into the past."""

    def pause(self, table: str) -> None:
        """Pause the table, as an operator would."""


def checkpoint(x: int = 100, **changes: Any) -> Checkpoint:
    start = Checkpoint(ReadMode.WATERMARK, HERE, x, "2026-03-01 10:00:00+00")
    return start.evolve(**changes)


def report(claim: Claim, status: Status = Status.OK, **changes: Any) -> TableReport:
    return TableReport(
        table=claim.table,
        target="ANALYTICS.PUBLIC.USERS",
        run_id=claim.run_id,
        status=status,
        **{"started_at": datetime.now(UTC), **changes},
    )


def waiting(batch: str, rows: int, first_row: int = 0) -> StagedBatch:
    layout = Layout(TargetName("DB", "S", 'odd "name"'), (Field("ID", "ID", numeric(10, 2), key=True),))
    return StagedBatch(batch, 1, rows, rows * 100, first_row, "stage", Layout.from_json(layout.to_json()))


def take(worker: Ledger, table: str = USERS, run_id: str | None = None, min_age: float = 0.0) -> Claim:
    """Claim one table that must be free."""
    claims, refusals = worker.leases.claim(
        [table], run_id=run_id or f"run-{next(_serial)}", holder="test", min_age=min_age
    )
    assert refusals == []
    return claims[0]


def filled(worker: Ledger, table: str = USERS, blocks: tuple[Blocks, ...] = BLOCKS) -> tuple[Claim, Backfill]:
    """A table with a backfill under way, and the claim of the run that began it."""
    claim = take(worker, table)
    return claim, worker.backfills.begin(
        claim, "layout", checkpoint(), blocks, prunes=False, reason="first read"
    )


def claim_and_load_chunk(worker: Ledger, table: str = USERS) -> ChunkClaim:
    taken = worker.backfills.claim_chunk({table: 99}, run_id=f"run-{next(_serial)}", holder="somebody")
    assert taken is not None
    return taken


def refused(worker: Ledger, table: str = USERS, min_age: float = 0.0) -> str:
    """Claim one table that must not be granted; returns the reason."""
    claims, refusals = worker.leases.claim(
        [table], run_id=f"run-{next(_serial)}", holder="test", min_age=min_age
    )
    assert claims == []
    return refusals[0].reason


def row_of(worker: Ledger, table: str = USERS) -> WatermarkRow:
    return next(row for row in worker.run_log.watermarks() if row.source_table == table)


class LedgerConformance:
    @pytest.fixture
    def ann(self, crew: Crew) -> Iterator[Ledger]:
        worker = crew.worker()
        yield worker
        worker.close()

    @pytest.fixture
    def bob(self, crew: Crew) -> Iterator[Ledger]:
        worker = crew.worker()
        yield worker
        worker.close()

    # --- leases ---

    def test_a_table_is_granted_to_one_worker_and_the_other_is_told_who_has_it(
        self, ann: Ledger, bob: Ledger
    ) -> None:
        before = datetime.now(UTC) - timedelta(minutes=1)
        ann.leases.claim([USERS], run_id="run-a", holder="ann@host", min_age=0)
        claims, [refusal] = bob.leases.claim([USERS], run_id="run-b", holder="bob@host")
        assert claims == []
        assert (refusal.table, refusal.reason, refusal.holder) == (USERS, "locked", "ann@host")
        assert refusal.since is not None
        assert before < refusal.since < datetime.now(UTC) + timedelta(minutes=1)

    def test_one_worker_is_not_granted_a_table_twice(self, ann: Ledger) -> None:
        take(ann)
        assert refused(ann) == "locked"

    def test_of_many_threads_of_one_worker_one_is_granted_the_table(self, ann: Ledger) -> None:
        start = threading.Barrier(8)

        def claim(number: int) -> int:
            start.wait(timeout=CEILING)
            return len(ann.leases.claim([USERS], run_id=f"run-{number}", holder="ann")[0])

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(claim, range(8))) == 1

    def test_claims_come_in_the_order_asked_and_only_once(self, ann: Ledger) -> None:
        claims, refusals = ann.leases.claim(["c", "a", "b", "a"], run_id="r", holder="ann")
        assert [claim.table for claim in claims] == ["c", "a", "b"]
        assert refusals == []
        assert ann.leases.claim([], run_id="r", holder="ann") == ([], [])

    def test_what_is_held_does_not_keep_the_rest_from_being_granted(self, ann: Ledger, bob: Ledger) -> None:
        take(ann, "b")
        claims, refusals = bob.leases.claim(["a", "b", "c"], run_id="r", holder="bob")
        assert [claim.table for claim in claims] == ["a", "c"]
        assert [refusal.table for refusal in refusals] == ["b"]

    def test_a_released_table_is_free(self, ann: Ledger, bob: Ledger) -> None:
        ann.leases.release([take(ann)])
        take(bob)

    def test_closing_gives_everything_back(self, crew: Crew, bob: Ledger) -> None:
        ann = crew.worker()
        take(ann, "a")
        take(ann, "b")
        ann.close()
        assert len(bob.leases.claim(["a", "b"], run_id="r", holder="bob")[0]) == 2

    def test_closing_gives_back_nothing_of_others(self, crew: Crew, bob: Ledger) -> None:
        ann = crew.worker()
        take(ann, "a")
        take(bob, "b")
        ann.close()
        assert refused(crew.worker(), "b") == "locked"

    def test_fences_grow_with_every_claim_and_with_the_clock(self, ann: Ledger) -> None:
        fences = []
        for _ in range(5):
            claim = take(ann)
            fences.append(claim.fence)
            ann.leases.release([claim])
        assert fences == sorted(set(fences))
        assert abs(fences[0] / 1e6 - datetime.now(UTC).timestamp()) < 600

    def test_a_dead_holder_is_replaced_though_its_lease_still_runs(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        old = take(ann)
        crew.kill(ann)
        new = take(bob)
        assert new.fence > old.fence
        with pytest.raises(LeaseLost):
            ann.checkpoints.advance(old, checkpoint())

    def test_who_lost_only_the_session_goes_on_if_nobody_came(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        claim = take(ann)
        crew.kill(ann)
        ann.checkpoints.advance(claim, checkpoint(x=7))
        ann.leases.renew([claim])
        assert refused(bob) == "locked"

    def test_an_expired_lease_is_taken_over_and_its_old_holder_can_write_nothing(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        old = take(ann)
        ann.checkpoints.advance(old, checkpoint(x=1))
        crew.expire(USERS)
        new = take(bob)
        assert new.fence > old.fence
        rejected = [Rejected({"id": "1"}, "bad")]
        for write in (
            lambda: ann.checkpoints.advance(old, checkpoint(x=9)),
            lambda: ann.checkpoints.forget(old),
            lambda: ann.checkpoints.open_batch(old, "b"),
            lambda: ann.checkpoints.close_batches(old, ["b"]),
            lambda: ann.checkpoints.remember_target(old, {"ID": "NUMBER"}),
            lambda: ann.checkpoints.remember_source(old, SOURCE),
            lambda: ann.rejected_rows.add(old, rejected),
            lambda: ann.rejected_rows.resolve(old, [{"id": "1"}]),
        ):
            with pytest.raises(LeaseLost, match=re.escape(USERS)):
                write()
        assert ann.checkpoints.advance_idle([(old, checkpoint(x=9))]) == [USERS]
        ann.leases.release([old])
        assert refused(ann) == "locked"
        bob.leases.release([new])
        after = take(bob)
        assert after.checkpoint == checkpoint(x=1)
        assert (after.open_batches, after.target_columns, after.has_open_errors) == ((), None, False)

    def test_an_expired_lease_that_nobody_took_still_stands(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        claim = take(ann)
        crew.expire(USERS)
        ann.checkpoints.advance(claim, checkpoint(x=3))
        ann.leases.renew([claim])
        assert refused(bob) == "locked"

    def test_renewing_does_not_bring_back_a_lost_or_a_released_lease(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        lost, given = take(ann, "a"), take(ann, "b")
        crew.expire("a")
        ann.leases.release([given])
        new = take(bob, "a")
        ann.leases.renew([lost, given])
        bob.checkpoints.advance(new, checkpoint())
        take(bob, "b")

    def test_the_old_claim_of_one_worker_cannot_release_its_newer_one(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        old = take(ann)
        crew.expire(USERS)
        take(ann)
        ann.leases.release([old])
        assert refused(bob) == "locked"

    def test_a_paused_table_is_granted_to_nobody(self, crew: Crew, ann: Ledger) -> None:
        ann.leases.release([take(ann)])
        crew.pause(USERS)
        assert refused(ann) == "paused"

    @pytest.mark.parametrize("status", [Status.OK, Status.IDLE, Status.PARTIAL])
    def test_a_table_that_ran_well_just_now_is_not_due(self, crew: Crew, ann: Ledger, status: Status) -> None:
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, status))])
        ann.leases.release([claim])
        assert refused(ann, min_age=60) == "not due"
        crew.age_success(USERS, 61)
        ann.leases.release([take(ann, min_age=60)])
        take(ann)

    @pytest.mark.parametrize("status", [Status.ERROR, Status.STOPPED])
    def test_a_table_that_failed_is_due_at_once(self, ann: Ledger, status: Status) -> None:
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, status))])
        ann.leases.release([claim])
        take(ann, min_age=60)

    # --- checkpoints ---

    def test_the_next_run_begins_where_the_last_one_ended(self, ann: Ledger, bob: Ledger) -> None:
        saved = checkpoint(
            x=2**40,
            seen=frozenset({2**40, 2**40 + 5}),
            trail=(Mark("2026-03-01 09:00:00+00", 9, "-infinity", "17"),),
            audit_x=4,
            audited_at="2026-03-01 09:00:00+00",
            cursor=("2026-03-01", "id with 'quote'"),
            last_watermark="2026-03-01 09:59:59.123456+00",
        )
        claim = take(ann)
        assert claim.checkpoint is None
        ann.checkpoints.advance(claim, saved)
        ann.leases.release([claim])
        assert take(bob).checkpoint == saved

    def test_a_checkpoint_never_moves_backward(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(x=10))
        ann.checkpoints.advance(claim, checkpoint(x=10))
        with pytest.raises(LeaseLost):
            ann.checkpoints.advance(claim, checkpoint(x=9))
        assert ann.checkpoints.advance_idle([(claim, checkpoint(x=9))]) == [USERS]
        assert ann.checkpoints.advance_idle([(claim, checkpoint(x=11))]) == []

    @pytest.mark.parametrize(
        "elsewhere",
        [
            {"identity": ServerIdentity("7000000000000000002", 1)},
            {"identity": ServerIdentity(HERE.system_identifier, 2)},
            {"mode": ReadMode.XMIN},
        ],
    )
    def test_another_server_or_mode_begins_anew(self, ann: Ledger, elsewhere: dict[str, Any]) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(x=10))
        ann.checkpoints.advance(claim, checkpoint(x=1, **elsewhere))

    def test_a_cursor_is_not_bound_to_x(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(x=10, mode=ReadMode.CURSOR, cursor=("a", "1")))
        ann.checkpoints.advance(claim, checkpoint(x=0, mode=ReadMode.CURSOR, cursor=("b", "1")))

    @settings(max_examples=rounds(12), deadline=None, suppress_health_check=EXPECTED)
    @given(
        moves=st.lists(
            st.tuples(st.integers(0, 1), st.integers(0, 2**63), st.sampled_from([1, 2]), st.booleans()),
            max_size=12,
        )
    )
    def test_whatever_two_workers_try_in_turn_only_the_newer_claim_moves_and_only_forward(
        self, crew: Crew, ann: Ledger, moves: list[tuple[int, int, int, bool]]
    ) -> None:
        table = f"t{next(_serial)}"
        old = take(ann, table)
        crew.expire(table)
        new = take(ann, table)
        stands: Checkpoint | None = None
        for who, x, timeline, idle in moves:
            wanted = checkpoint(x=x, identity=ServerIdentity("1", timeline))
            allowed = who == 1 and (stands is None or stands.identity != wanted.identity or x >= stands.x)
            assert self._moves(ann, (old, new)[who], wanted, idle) is allowed
            stands = wanted if allowed else stands
        ann.leases.release([new])
        assert take(ann, table).checkpoint == stands

    @staticmethod
    def _moves(worker: Ledger, claim: Claim, wanted: Checkpoint, idle: bool) -> bool:
        if idle:
            return worker.checkpoints.advance_idle([(claim, wanted)]) == []
        try:
            worker.checkpoints.advance(claim, wanted)
        except LeaseLost:
            return False
        return True

    def test_idle_tables_move_together_and_lost_ones_are_named(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        claims, _ = ann.leases.claim(["a", "b", "c"], run_id="r", holder="ann")
        crew.expire("b")
        take(bob, "b")
        assert ann.checkpoints.advance_idle([(claim, checkpoint(x=5)) for claim in claims]) == ["b"]
        assert ann.checkpoints.advance_idle([]) == []
        ann.leases.release(claims)
        assert [claim.checkpoint for claim in ann.leases.claim(["a", "c"], run_id="r", holder="ann")[0]] == [
            checkpoint(x=5),
            checkpoint(x=5),
        ]

    def test_how_far_tables_are_can_be_seen_without_a_claim(self, ann: Ledger, bob: Ledger) -> None:
        [claim, _], _ = ann.leases.claim(["a", "b"], run_id="r", holder="ann")
        ann.checkpoints.advance(claim, checkpoint(x=5))
        assert bob.checkpoints.remembered()["a"].checkpoint == checkpoint(x=5)

    def test_forgetting_makes_the_next_read_a_full_one(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(last_watermark="2026-03-01 09:00:00+00"))
        ann.checkpoints.forget(claim)
        assert row_of(ann).last_watermark is None
        ann.leases.release([claim])
        assert take(ann).checkpoint is None

    # --- batches, target ---

    def test_a_backfill_outlives_its_run_chunk_by_chunk(self, crew: Crew, ann: Ledger, bob: Ledger) -> None:
        first = take(ann)
        ann.checkpoints.advance(first, checkpoint(50))
        begun = ann.backfills.begin(first, "layout", checkpoint(100), BLOCKS, prunes=True, reason="asked for")
        assert len(begun.left) == 2
        one, two = claim_and_load_chunk(ann), claim_and_load_chunk(ann)
        assert [one.chunk.number, two.chunk.number] == [0, 1]
        assert (one.layout, one.chunk.range, one.claim.table) == ("layout", BLOCKS[0], USERS)
        done = replace(
            one.chunk, done=True, rows=7, rejected=1, size=900, last_watermark="2026-03-01 10:00:00+00"
        )
        assert ann.backfills.finish_chunk(one.claim, done) == ChunkCounts(2, 1, 1)
        crew.kill(ann)
        second = take(bob)
        assert second.checkpoint is None
        known = bob.backfills.current(second)
        assert known == replace(begun, chunks=(done, two.chunk))
        (row,) = bob.run_log.watermarks()
        assert (row.chunks, row.chunks_done, row.chunk_rows, row.chunk_bytes) == (2, 1, 7, 900)
        assert row.backfill_seconds is not None
        assert row.backfill_seconds >= 0

    @pytest.mark.parametrize(
        "ended_by", ["advance", "advance_idle", "forget", "forget by a chunk", "another"]
    )
    def test_a_backfill_ends_with_whatever_takes_its_place(self, ann: Ledger, ended_by: str) -> None:
        claim = take(ann)
        begun = ann.backfills.begin(claim, "a", checkpoint(100), BLOCKS, prunes=False, reason="first read")
        taken = claim_and_load_chunk(ann)
        ann.checkpoints.open_batch(taken.claim, "users/7-0")
        if ended_by == "advance":
            ann.checkpoints.advance(claim, checkpoint(101))
        elif ended_by == "advance_idle":
            assert ann.checkpoints.advance_idle([(claim, checkpoint(101))]) == []
        elif ended_by.startswith("forget"):
            ann.checkpoints.forget(claim if ended_by == "forget" else taken.claim)
        else:
            anew = ann.backfills.begin(
                claim, "b", checkpoint(102), (Blocks(0, None),), prunes=False, reason="first read"
            )
            assert ann.backfills.current(claim) == anew
            assert anew.fence > max(begun.fence, *taken.chunk.fences)
        if ended_by != "another":
            assert ann.backfills.current(claim) is None
            assert ann.run_log.watermarks()[0].chunks is None
            assert ann.backfills.counts(USERS) is None
            assert ann.backfills.claim_chunk({USERS: 9}, run_id="r", holder="h") is None
        with pytest.raises(LeaseLost):
            ann.backfills.finish_chunk(taken.claim, taken.chunk)
        ann.leases.renew([taken.claim])
        ann.leases.release([claim, taken.claim])
        assert take(ann).open_batches == ("users/7-0",)

    # --- chunks ---

    def test_a_chunk_is_granted_to_one_worker_and_the_other_gets_the_next(
        self, ann: Ledger, bob: Ledger
    ) -> None:
        filled(ann)
        assert [claim_and_load_chunk(ann).chunk.number, claim_and_load_chunk(bob).chunk.number] == [0, 1]
        assert ann.backfills.counts(USERS) == ChunkCounts(2, 0, 2)
        for worker in (ann, bob):
            assert worker.backfills.claim_chunk({USERS: 9}, run_id="r", holder="h") is None

    def test_of_many_threads_each_is_granted_another_chunk(self, ann: Ledger, bob: Ledger) -> None:
        filled(ann, blocks=tuple(Blocks(n, n + 1) for n in range(12)))
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda n: claim_and_load_chunk((ann, bob)[n % 2]), range(12)))
        assert sorted(one.chunk.number for one in taken) == list(range(12))
        assert len({one.claim.fence for one in taken}) == 12

    def test_no_more_chunks_of_a_table_are_held_than_was_asked_for(self, ann: Ledger, bob: Ledger) -> None:
        filled(ann, blocks=tuple(Blocks(n, n + 1) for n in range(12)))

        def take_few(number: int) -> ChunkClaim | None:
            return (ann, bob)[number % 2].backfills.claim_chunk({USERS: 3}, run_id=f"r{number}", holder="h")

        with ThreadPoolExecutor(8) as pool:
            taken = [one for one in pool.map(take_few, range(12)) if one is not None]
        assert len(taken) == 3
        ann.backfills.finish_chunk(taken[0].claim, taken[0].chunk)
        assert take_few(0) is not None

    def test_fences_of_chunks_lie_between_those_of_the_runs(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        before = take(ann)
        ann.leases.release([before])
        claim, begun = filled(ann)
        fences = [claim_and_load_chunk(ann).claim.fence]
        crew.kill(ann)
        again = claim_and_load_chunk(bob)
        assert again.chunk.fences == (fences[0], again.claim.fence)
        fences += [again.claim.fence, claim_and_load_chunk(bob).claim.fence]
        assert before.fence < begun.fence < fences[0] < fences[1] < fences[2] < claim.fence
        assert take(bob).fence > claim.fence

    def test_a_dead_workers_chunk_is_tried_again_by_another_and_it_can_write_nothing(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        filled(bob)
        old = claim_and_load_chunk(ann)
        ann.checkpoints.open_batch(old.claim, "users/1-0")
        crew.kill(ann)
        assert bob.backfills.counts(USERS) == ChunkCounts(2, 0, 0)
        new = claim_and_load_chunk(bob)
        assert (new.chunk.number, new.chunk.attempts, new.claim.open_batches) == (0, 2, ("users/1-0",))
        for write in (
            lambda: ann.backfills.finish_chunk(old.claim, old.chunk),
            lambda: ann.checkpoints.forget(old.claim),
            lambda: ann.checkpoints.open_batch(old.claim, "b"),
            lambda: ann.checkpoints.close_batches(old.claim, ["users/1-0"]),
            lambda: ann.checkpoints.remember_target(old.claim, {"ID": "NUMBER"}),
            lambda: ann.rejected_rows.add(old.claim, [Rejected({"id": "1"}, "bad")]),
            lambda: ann.rejected_rows.resolve(old.claim, [{"id": "1"}]),
        ):
            with pytest.raises(LeaseLost, match=re.escape(USERS)):
                write()
        ann.leases.renew([old.claim])
        ann.leases.release([old.claim])
        assert bob.backfills.counts(USERS) == ChunkCounts(2, 0, 1)
        assert bob.backfills.finish_chunk(new.claim, new.chunk) == ChunkCounts(2, 1, 0)

    def test_who_lost_only_the_session_keeps_the_chunk_if_nobody_came(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        filled(bob)
        taken = claim_and_load_chunk(ann)
        crew.kill(ann)
        ann.leases.renew([taken.claim])
        assert claim_and_load_chunk(bob).chunk.number == 1
        ann.backfills.finish_chunk(taken.claim, taken.chunk)

    def test_a_chunk_that_is_given_back_waits_and_its_attempts_are_counted(
        self, ann: Ledger, bob: Ledger
    ) -> None:
        filled(ann)
        ann.leases.release([claim_and_load_chunk(ann).claim])
        assert ann.backfills.counts(USERS) == ChunkCounts(2, 0, 0)
        assert claim_and_load_chunk(bob).chunk.attempts == 2

    def test_what_chunks_have_left_may_be_swept_by_the_tables_run(self, ann: Ledger) -> None:
        claim, _ = filled(ann)
        taken = claim_and_load_chunk(ann)
        ann.checkpoints.open_batch(taken.claim, "users/1-0")
        ann.checkpoints.open_batch(taken.claim, "users/1-1")
        ann.backfills.finish_chunk(taken.claim, taken.chunk)
        known = ann.backfills.current(claim)
        assert known is not None
        assert [chunk.open_batches for chunk in known.chunks] == [("users/1-0", "users/1-1"), ()]
        ann.checkpoints.close_batches(claim, ["users/1-0"])
        ann.checkpoints.advance(claim, checkpoint(101))
        ann.leases.release([claim, taken.claim])
        assert take(ann).open_batches == ("users/1-1",)

    def test_closing_gives_back_chunks(self, crew: Crew, ann: Ledger) -> None:
        filled(ann)
        worker = crew.worker()
        claim_and_load_chunk(worker)
        worker.close()
        assert ann.backfills.counts(USERS) == ChunkCounts(2, 0, 0)

    def test_a_chunk_may_be_told_done_twice_and_swept_afterwards(self, ann: Ledger) -> None:
        filled(ann)
        taken = claim_and_load_chunk(ann)
        ann.checkpoints.open_batch(taken.claim, "users/1-0")
        counts = ann.backfills.finish_chunk(taken.claim, taken.chunk)
        assert ann.backfills.finish_chunk(taken.claim, taken.chunk) == counts == ChunkCounts(2, 1, 0)
        ann.checkpoints.close_batches(taken.claim, ["users/1-0"])
        ann.leases.release([taken.claim])

    def test_what_may_be_written_under_a_chunk(self, ann: Ledger) -> None:
        """Rejected rows and the target's columns are the table's, whoever finds them; the checkpoint is not a
        chunk's to move."""
        claim, _ = filled(ann)
        taken = claim_and_load_chunk(ann)
        ann.rejected_rows.add(taken.claim, [Rejected({"id": "1"}, "bad"), Rejected({"id": "2"}, "bad")])
        assert ann.rejected_rows.resolve(taken.claim, [{"id": "1"}]) == 1
        ann.checkpoints.remember_target(taken.claim, {"ID": "NUMBER"})
        for write in (
            lambda: ann.checkpoints.advance(taken.claim, checkpoint(200)),
            lambda: ann.checkpoints.remember_source(taken.claim, SOURCE),
            lambda: ann.backfills.begin(taken.claim, "b", checkpoint(), BLOCKS, prunes=False, reason="r"),
        ):
            with pytest.raises(LeaseLost):
                write()
        ann.leases.release([claim, taken.claim])
        after = take(ann)
        assert (after.target_columns, after.has_open_errors, after.open_batches) == (
            {"ID": "NUMBER"},
            True,
            (),
        )
        assert claim_and_load_chunk(ann).claim.has_open_errors

    def test_tables_take_turns_and_a_paused_one_waits(self, crew: Crew, ann: Ledger) -> None:
        for table in ("a", "b", "c"):
            filled(ann, table)
        crew.pause("c")
        tables = {"a": 9, "b": 9, "c": 9}
        taken = [ann.backfills.claim_chunk(tables, run_id="r", holder="h") for _ in range(5)]
        assert [(one.claim.table, one.chunk.number) for one in taken if one is not None] == [
            ("a", 0), ("b", 0), ("a", 1), ("b", 1),
        ]  # fmt: skip

    # --- what runs leave ---

    def test_open_batches_outlive_a_crash(self, crew: Crew, ann: Ledger, bob: Ledger) -> None:
        claim = take(ann)
        for batch in ("users/1-1", "users/1-2", "users/1-2", "users/1-3"):
            ann.checkpoints.open_batch(claim, batch)
        ann.checkpoints.close_batches(claim, ["users/1-2", "unknown"])
        crew.kill(ann)
        assert take(bob).open_batches == ("users/1-1", "users/1-3")

    def test_files_of_loaded_batches_wait_and_one_worker_removes_them(self, ann: Ledger, bob: Ledger) -> None:
        """The statement that closes a batch lists its files, once. Much makes it due; files that must stay longer are
        given to nobody, and those of another account's stage neither."""
        claim, here = take(ann), '"DB"."Größe"."PGSNOW_STAGE"'
        files = [
            LoadedFiles("users/1-0", "acme", here, 10),
            LoadedFiles("users/1-1", "acme", here, 10, grace=3600),
            LoadedFiles("users/1-2", "", "s3://bucket/pgsnow/", 10),
        ]
        for batch in ("users/1-0", "users/1-1", "users/1-2"):
            ann.checkpoints.open_batch(claim, batch)
        names = [one.batch for one in files]
        assert not ann.checkpoints.close_batches(claim, names, files, account="acme", location=here)
        assert not ann.checkpoints.close_batches(claim, names, files, account="acme", location=here)
        [bucket, stage] = ann.loaded_files.waiting()
        assert (stage.account, stage.location, stage.batches, stage.bytes) == ("acme", here, 2, 20)
        assert (bucket.account, bucket.batches, bucket.tables) == ("", 1, (USERS,))
        large = [LoadedFiles("users/1-3", "acme", here, 300 << 20)]
        ann.checkpoints.close_batches(claim, ["users/1-3"], large, account="acme", location=here)
        assert ann.checkpoints.close_batches(claim, [], account="acme", location=here)
        assert not ann.checkpoints.close_batches(claim, [], account="other", location=here)

        assert bob.loaded_files.take("other", [here]) == {}
        taken = bob.loaded_files.take("acme", [here])
        assert {place: sorted(found) for place, found in taken.items()} == {here: ["users/1-0", "users/1-3"]}
        assert ann.loaded_files.take("acme", [here]) == {}
        assert ann.loaded_files.take("acme", ["s3://bucket/pgsnow/"]) == {
            "s3://bucket/pgsnow/": ["users/1-2"]
        }
        bob.loaded_files.forget("acme", here, taken[here])
        assert [one.batches for one in ann.loaded_files.waiting()] == [1, 1]

    def test_the_targets_columns_are_remembered_until_forgotten(self, ann: Ledger) -> None:
        claim = take(ann)
        assert claim.target_columns is None
        ann.checkpoints.remember_target(claim, {"ID": "NUMBER(38,0)", 'odd "name"': "VARCHAR"})
        ann.leases.release([claim])
        claim = take(ann)
        assert claim.target_columns == {"ID": "NUMBER(38,0)", 'odd "name"': "VARCHAR"}
        ann.checkpoints.remember_target(claim, None)
        ann.leases.release([claim])
        assert take(ann).target_columns is None

    def test_the_sources_definition_moves_with_the_checkpoint_and_stays_until_told(
        self, ann: Ledger, bob: Ledger
    ) -> None:
        claim = take(ann)
        assert claim.stored_definition is None
        ann.checkpoints.advance(claim, checkpoint(x=1), SOURCE)
        ann.checkpoints.advance(claim, checkpoint(x=2))
        with pytest.raises(LeaseLost):
            ann.checkpoints.advance(claim, checkpoint(x=1), replace(SOURCE, oid=2))
        ann.checkpoints.forget(claim)
        assert ann.checkpoints.remembered()[USERS].definition == SOURCE
        ann.leases.release([claim])
        claim = take(bob)
        assert claim.stored_definition == SOURCE
        moved = replace(SOURCE, oid=3)
        assert bob.checkpoints.advance_idle([(claim, checkpoint(x=3))], {USERS: moved}) == []
        assert bob.checkpoints.remembered()[USERS].definition == moved
        bob.checkpoints.remember_source(claim, SOURCE)
        assert bob.checkpoints.remembered()[USERS].definition == SOURCE

    # --- runs ---

    def test_an_ended_run_shows_in_watermarks_and_in_the_log(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(last_watermark="2026-03-01 09:59:59.5+00"))
        done = report(
            claim,
            Status.PARTIAL,
            seconds=2.5,
            phases={"read": 0.5, "merge": 2.0},
            rows_read=12,
            rows_rejected=1,
            rows_dropped=1,
            rows_inserted=7,
            rows_updated=3,
            rows_deleted=2,
            ranges_compared=77,
            sweep_seconds=0.25,
            bytes_staged=4096,
            load_units=1,
            query_ids=("01b-1", "01b-2"),
            full_read="first run",
            events=("column NICK added",),
        )
        ann.run_log.finish([(claim, done)])
        row = row_of(ann)
        assert (row.last_status, row.last_error, row.rows_processed) == ("partial", None, 10)
        assert (row.target_table, row.read_mode) == ("ANALYTICS.PUBLIC.USERS", "watermark")
        assert row.last_watermark == "2026-03-01 09:59:59.5+00"
        assert row.lease_holder == "test"
        assert row.last_run == row.last_success
        assert row.last_run is not None
        assert abs(row.last_run - done.started_at) < timedelta(minutes=1)
        [log] = ann.run_log.logs()
        assert log == {
            "run_id": claim.run_id,
            "source_table": USERS,
            "target_table": "ANALYTICS.PUBLIC.USERS",
            "started_at": done.started_at,
            "ended_at": done.started_at + timedelta(seconds=2.5),
            "seconds": 2.5,
            "phases": {"read": 0.5, "merge": 2.0},
            "rows_read": 12,
            "rows_rejected": 1,
            "rows_dropped": 1,
            "rows_inserted": 7,
            "rows_updated": 3,
            "rows_deleted": 2,
            "ranges_compared": 77,
            "sweep_seconds": 0.25,
            "bytes_staged": 4096,
            "load_units": 1,
            "query_ids": ["01b-1", "01b-2"],
            "status": "partial",
            "full_read": "first run",
            "events": ["column NICK added"],
            "error": None,
            "error_type": None,
            "advice": None,
            "last_watermark": None,
            "fence": claim.fence,
            "statement_count": 0,
            "logins": 0,
            "warehouse_seconds": 0,
            "credits": 0,
        }

    def test_an_error_is_kept_until_the_next_success_and_does_not_count_as_one(self, ann: Ledger) -> None:
        claim = take(ann)
        failed = report(
            claim, Status.ERROR, error="users: no column x", error_type="ColumnMissing", advice="Add it."
        )
        ann.run_log.finish([(claim, failed)])
        row = row_of(ann)
        assert (row.last_status, row.last_error, row.last_success) == ("error", "users: no column x", None)
        assert row.last_run is not None
        assert ann.run_log.logs()[0]["advice"] == "Add it."
        ann.leases.release([claim])
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim))])
        assert row_of(ann).last_error is None

    def test_a_run_that_others_held_up_leaves_the_outcome_of_the_one_before(self, ann: Ledger) -> None:
        """A failure must not be hidden by runs that only found others at work."""
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, Status.ERROR, error="no column x"))])
        ann.leases.release([claim])
        began = row_of(ann).last_run
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, Status.LOCKED, error="backfill under way"))])
        row = row_of(ann)
        assert (row.last_status, row.last_error, row.last_success) == ("error", "no column x", None)
        assert row.last_run is not None
        assert began is not None
        assert row.last_run > began

    def test_a_run_is_recorded_once_even_if_it_is_told_twice(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, rows_inserted=5))])
        ann.run_log.finish([(claim, report(claim, rows_inserted=5))])
        assert len(ann.run_log.logs()) == 1

    def test_what_was_no_run_is_logged_once_and_leaves_the_table_as_the_last_run_left_it(
        self, ann: Ledger
    ) -> None:
        claim = take(ann)
        ann.run_log.finish([(claim, report(claim, Status.IDLE))])
        ann.leases.release([claim])
        before = row_of(ann)._replace(lag_seconds=None, read_lag_seconds=None)
        applied = take(ann)
        for _ in range(2):
            ann.run_log.note([(applied, report(applied, Status.APPLIED, events=("created table X",)))])
        ann.leases.release([applied])
        assert row_of(ann)._replace(lag_seconds=None, read_lag_seconds=None) == before
        assert sorted(log["status"] for log in ann.run_log.logs()) == ["applied", "idle"]

    def test_a_run_that_lost_its_lease_is_logged_and_changes_nothing_else(
        self, crew: Crew, ann: Ledger, bob: Ledger
    ) -> None:
        old = take(ann, run_id="old")
        crew.expire(USERS)
        new = take(bob, run_id="new")
        bob.run_log.finish([(new, report(new, Status.IDLE))])
        ann.run_log.finish([(old, report(old, Status.ERROR, error="late"))])
        row = row_of(ann)
        assert (row.last_status, row.last_error) == ("idle", None)
        assert {log["run_id"] for log in ann.run_log.logs()} == {"old", "new"}

    def test_many_runs_end_together(self, ann: Ledger) -> None:
        claims, _ = ann.leases.claim(["a", "b", "c"], run_id="r", holder="ann")
        ann.run_log.finish([(claim, report(claim, Status.IDLE)) for claim in claims])
        ann.run_log.finish([])
        assert [row.last_status for row in ann.run_log.watermarks()] == ["idle"] * 3
        assert [log["source_table"] for log in ann.run_log.logs(table="b")] == ["b"]

    def test_the_log_shows_the_newest_first_and_is_bounded(self, ann: Ledger) -> None:
        claim = take(ann)
        start = datetime(2026, 3, 1, tzinfo=UTC)
        for hour in (2, 1, 3):
            run = Claim(USERS, f"run at {hour}", "test", claim.fence, None)
            ann.run_log.finish([(run, report(run, started_at=start + timedelta(hours=hour)))])
        assert [log["run_id"] for log in ann.run_log.logs(limit=2)] == ["run at 3", "run at 2"]

    def test_old_runs_are_purged_at_most_once_an_hour(self, ann: Ledger) -> None:
        claim = take(ann)
        now = datetime.now(UTC)
        for days in (1, 20, 30):
            run = Claim(USERS, f"{days} days ago", "test", claim.fence, None)
            ann.run_log.finish([(run, report(run, started_at=now - timedelta(days=days)))])
        assert ann.run_log.purge(25) == 1
        assert ann.run_log.purge(14) is None
        assert [log["run_id"] for log in ann.run_log.logs()] == ["1 days ago", "20 days ago"]

    # --- lag ---

    def test_lag_is_counted_from_what_is_known_to_be_applied(self, ann: Ledger) -> None:
        hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(sep=" ")
        claim = take(ann)
        assert row_of(ann).lag_seconds is None
        ann.checkpoints.advance(claim, checkpoint(low=hour_ago))
        assert row_of(ann).lag_seconds == pytest.approx(3600, abs=60)

    @pytest.mark.parametrize("low", ["-infinity", "20260301"])
    def test_lag_is_counted_from_the_last_success_where_low_is_no_time(
        self, crew: Crew, ann: Ledger, low: str
    ) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(low=low, last_watermark="20260301"))
        assert row_of(ann).lag_seconds is None
        assert row_of(ann).last_watermark == "20260301"
        ann.run_log.finish([(claim, report(claim))])
        crew.age_success(USERS, 1800)
        assert row_of(ann).lag_seconds == pytest.approx(1800, abs=60)

    def test_lag_of_an_integer_watermark_is_counted_from_its_newest_mark(self, ann: Ledger) -> None:
        now = datetime.now(UTC)
        marks = tuple(
            Mark(str(now), 5, (now - timedelta(minutes=m)).isoformat(sep=" "), str(1000 - m))
            for m in (30, 20, 10)
        )
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(low="970", trail=marks))
        assert row_of(ann).lag_seconds == pytest.approx(600, abs=60)

    # --- rows that are staged now and loaded later ---

    def test_while_batches_wait_only_the_reading_moves(self, ann: Ledger, bob: Ledger) -> None:
        """The next claim lists the waiting batches and since when they wait; status shows both lags."""
        now = datetime.now(UTC)
        hour_ago, minute_ago = ((now - timedelta(seconds=s)).isoformat(sep=" ") for s in (3600, 60))
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(10, low=hour_ago, last_watermark="2026-03-01 10:00:00+00"))
        for batch in ("users/1-0", "users/1-1"):
            ann.checkpoints.open_batch(claim, batch)
        read = checkpoint(20, low=minute_ago, last_watermark="2026-03-01 11:00:00+00")
        for _ in range(2):  # the reply may have been lost
            ann.deferred_loads.stage(claim, [waiting("users/1-0", 3)], read, SOURCE)
        ann.leases.release([claim])
        later = take(bob)
        assert later.staged == (waiting("users/1-0", 3),)
        assert 0 <= later.granted_at - later.staged_at < 60
        assert later.granted_at == pytest.approx(now.timestamp(), abs=60)
        assert (later.checkpoint, later.stored_definition, later.open_batches) == (
            read,
            SOURCE,
            ("users/1-1",),
        )
        bob.deferred_loads.stage(later, [waiting("users/2-0", 4, first_row=3)], read)
        assert bob.checkpoints.advance_idle([(later, read.evolve(x=30))]) == []
        row = row_of(bob)
        assert (row.staged_rows, row.staged_bytes, row.last_watermark) == (7, 700, "2026-03-01 10:00:00+00")
        assert row.lag_seconds == pytest.approx(3600, abs=30)
        assert row.read_lag_seconds == pytest.approx(60, abs=30)

    def test_what_was_loaded_is_left_to_be_swept_and_the_loading_is_where_the_reading_is(
        self, ann: Ledger
    ) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(10))
        minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(sep=" ")
        read = checkpoint(20, low=minute_ago, last_watermark="2026-03-01 11:00:00+00")
        ann.deferred_loads.stage(claim, [waiting("users/1-0", 3), waiting("users/1-1", 2, first_row=3)], read)
        for _ in range(2):
            ann.deferred_loads.loaded(claim)
        row = row_of(ann)
        assert (row.staged_rows, row.last_watermark) == (0, "2026-03-01 11:00:00+00")
        assert row.lag_seconds == pytest.approx(60, abs=30)
        assert row.read_lag_seconds == pytest.approx(60, abs=30)
        ann.leases.release([claim])
        later = take(ann)
        assert (later.staged, later.open_batches) == ((), ("users/1-0", "users/1-1"))
        assert later.checkpoint == ann.deferred_loads.discard(later) == read

    def test_what_is_given_up_takes_the_reading_back_to_where_the_loading_is(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(10, last_watermark="7"))
        ann.deferred_loads.stage(claim, [waiting("users/1-0", 3)], checkpoint(20, last_watermark="8"))
        ann.deferred_loads.stage(claim, [waiting("users/1-1", 3)], checkpoint(30, last_watermark="9"))
        for _ in range(2):
            assert ann.deferred_loads.discard(claim) == checkpoint(10, last_watermark="7")
        ann.checkpoints.advance(claim, checkpoint(11, last_watermark="8"))
        assert row_of(ann).last_watermark == "8"
        ann.leases.release([claim])
        later = take(ann)
        assert (later.staged, later.open_batches) == ((), ("users/1-0", "users/1-1"))

    def test_what_waits_goes_with_the_target_it_waited_for(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(10))
        ann.deferred_loads.stage(claim, [waiting("users/1-0", 3)], checkpoint(20))
        ann.checkpoints.forget(claim)
        ann.leases.release([claim])
        later = take(ann)
        assert (later.staged, later.open_batches, later.checkpoint) == ((), ("users/1-0",), None)
        assert ann.deferred_loads.discard(later) is None

    def test_staging_needs_a_checkpoint_and_never_goes_backward(self, ann: Ledger) -> None:
        claim = take(ann)
        with pytest.raises(LeaseLost):
            ann.deferred_loads.stage(claim, [waiting("users/1-0", 3)], checkpoint(10))
        ann.checkpoints.advance(claim, checkpoint(10))
        with pytest.raises(LeaseLost):
            ann.deferred_loads.stage(claim, [waiting("users/1-0", 3)], checkpoint(9))
        assert row_of(ann).staged_rows == 0

    @pytest.mark.parametrize("write", ["stage", "loaded", "discard"])
    def test_what_waits_is_fenced(self, crew: Crew, ann: Ledger, bob: Ledger, write: str) -> None:
        stale = take(ann)
        ann.checkpoints.advance(stale, checkpoint(10))
        ann.deferred_loads.stage(stale, [waiting("users/1-0", 3)], checkpoint(20))
        crew.expire(USERS)
        crew.kill(ann)
        take(bob)
        with pytest.raises(LeaseLost):
            if write == "stage":
                ann.deferred_loads.stage(stale, [waiting("users/1-1", 3)], checkpoint(30))
            else:
                getattr(ann.deferred_loads, write)(stale)
        assert row_of(bob).staged_rows == 3

    # --- rejected rows ---

    def test_a_refused_row_is_opened_once_and_counted(self, ann: Ledger) -> None:
        first = take(ann, run_id="first")
        ann.rejected_rows.add(
            first, [Rejected({"id": "1", "at": None}, "too long", "name", {"name": "x", "n": 1})]
        )
        ann.leases.release([first])
        again = take(ann, run_id="again")
        assert again.has_open_errors
        ann.rejected_rows.add(again, [Rejected({"at": None, "id": "1"}, "still too long", "name", None)])
        [error] = ann.rejected_rows.listed()
        assert (error.source_table, error.key, error.column) == (USERS, {"id": "1", "at": None}, "name")
        assert (error.reason, error.payload, error.run_id) == ("still too long", None, "again")
        assert (error.state, error.occurrences) == ("open", 2)
        assert error.created_at <= error.updated_at

    def test_one_call_may_name_a_row_twice_and_the_last_reason_stands(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.rejected_rows.add(
            claim, [Rejected({"id": "1"}, "a"), Rejected({"id": "2"}, "b"), Rejected({"id": "1"}, "c")]
        )
        assert {
            error.key["id"]: (error.reason, error.occurrences) for error in ann.rejected_rows.listed()
        } == {
            "1": ("c", 2),
            "2": ("b", 1),
        }

    def test_keys_that_differ_in_null_and_in_letters_are_different_rows(self, ann: Ledger) -> None:
        keys: list[dict[str, str | None]] = [
            {"k": None},
            {"k": ""},
            {"k": "a"},
            {"k": "A"},
            {"k": "ä" * 5000},
        ]
        claim = take(ann)
        ann.rejected_rows.add(claim, [Rejected(key, "bad") for key in keys])
        assert ann.rejected_rows.open_keys(USERS) == keys
        assert ann.rejected_rows.open_keys("public.other") == []
        assert ann.rejected_rows.resolve(claim, [{"k": ""}]) == 1
        assert ann.rejected_rows.open_keys(USERS) == [key for key in keys if key != {"k": ""}]

    def test_many_refused_rows_go_in(self, ann: Ledger) -> None:
        claim = take(ann)
        ann.rejected_rows.add(claim, [Rejected({"id": str(n)}, "bad", None, {"id": n}) for n in range(1201)])
        ann.rejected_rows.add(claim, [])
        assert row_of(ann).open_errors == 1201
        assert len(ann.rejected_rows.listed(limit=5)) == 5

    def test_resolved_and_dismissed_errors_are_closed_and_may_open_anew(self, ann: Ledger) -> None:
        claim = take(ann)
        keys: list[dict[str, str | None]] = [{"id": "1"}, {"id": "2"}, {"id": "3"}]
        ann.rejected_rows.add(claim, [Rejected(key, "bad") for key in keys])
        assert ann.rejected_rows.resolve(claim, [{"id": "1"}, {"id": "9"}]) == 1
        assert ann.rejected_rows.resolve(claim, [{"id": "1"}]) == 0
        assert ann.rejected_rows.resolve(claim, []) == 0
        two = next(error.id for error in ann.rejected_rows.listed() if error.key == {"id": "2"})
        assert ann.rejected_rows.dismiss([two, two, 999_999]) == 1
        assert ann.rejected_rows.dismiss([two]) == 0
        states = {error.key["id"]: error.state for error in ann.rejected_rows.listed(state=None)}
        assert states == {"1": "replayed", "2": "dismissed", "3": "open"}
        assert [error.key["id"] for error in ann.rejected_rows.listed(state="dismissed")] == ["2"]
        ann.rejected_rows.add(claim, [Rejected({"id": "1"}, "bad again")])
        assert [error.occurrences for error in ann.rejected_rows.listed() if error.key == {"id": "1"}] == [1]
        assert len(ann.rejected_rows.listed(state=None)) == 4

    def test_errors_are_found_by_table_and_by_number_the_newest_first(self, ann: Ledger) -> None:
        claims, _ = ann.leases.claim(["a", "b"], run_id="r", holder="ann")
        for claim in claims:
            ann.rejected_rows.add(claim, [Rejected({"id": "1"}, "bad")])
        newest, oldest = ann.rejected_rows.listed()
        assert (newest.source_table, oldest.source_table) == ("b", "a")
        assert ann.rejected_rows.listed(table="a") == [oldest]
        assert ann.rejected_rows.listed(ids=[newest.id]) == [newest]
        assert ann.rejected_rows.listed(ids=[]) == []

    def test_a_payload_may_hold_anything_and_is_bounded(self, ann: Ledger) -> None:
        claim = take(ann)
        payload = {
            "nul": "a\0b",
            "half": "\ud83d",
            "nan": float("nan"),
            "raw": b"\x00\xff",
            "when": datetime(2026, 1, 1, tzinfo=UTC),
            "deep": {"list": [1, None, {"x": "y" * 10 * MAX_TEXT}]},
            "long": "z" * 1_000_000,
            **{f"c{n}": "w" * MAX_TEXT for n in range(40)},
        }
        ann.rejected_rows.add(claim, [Rejected({"id": "1"}, "r\0" * MAX_TEXT, None, payload)])
        [error] = ann.rejected_rows.listed()
        assert error.payload is not None
        assert (error.payload["nul"], error.payload["half"], error.payload["nan"]) == ("a\ufffdb", "?", "nan")
        assert (error.payload["raw"], error.payload["when"]) == ("\\x00ff", "2026-01-01 00:00:00+00:00")
        assert error.payload["long"].endswith("[cut: 1000000 characters]")
        assert set(error.payload) == set(payload)
        assert sum(len(str(value)) for value in error.payload.values()) < MAX_PAYLOAD + 100 * len(payload)
        assert len(error.reason) < MAX_TEXT + 50

    # --- horizons ---

    def test_the_last_listing_of_each_source_is_kept(self, ann: Ledger, bob: Ledger) -> None:
        assert ann.checkpoints.virtual_xids("db1") == VirtualXids()
        ann.checkpoints.save_virtual_xids(
            "db1", VirtualXids("2026-03-01 10:00:00+00", {"3/7": "2026-03-01 09:00:00+00"})
        )
        newer = VirtualXids("2026-03-01 10:02:00+00", {"3/8": "-infinity"})
        bob.checkpoints.save_virtual_xids("db1", newer)
        assert ann.checkpoints.virtual_xids("db1") == newer
        assert ann.checkpoints.virtual_xids("db2") == VirtualXids()

    def test_migrating_again_changes_nothing(self, ann: Ledger, bob: Ledger) -> None:
        claim = take(ann)
        ann.checkpoints.advance(claim, checkpoint(x=8))
        bob.migrate()
        ann.leases.release([claim])
        assert take(bob).checkpoint == checkpoint(x=8)
