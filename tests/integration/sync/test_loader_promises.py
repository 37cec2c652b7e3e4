"""The contract of `Loader` and `Destination`, kept by the one in memory and by Snowflake's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pgsnow.model.errors import LeaseLost, StagedRowsLost, TargetUnavailable
from pgsnow.sync.load.choose import BackfillFacts, LoadFacts
from pgsnow.sync.load.direct_copy import Attempts
from pgsnow.sync.load.loader import Complete, Deferred, Loaded, Staged, TargetRecreated
from pgsnow.testing.faults import RaiseAt
from tests.integration.sync.loading import Loading

CHANGES = LoadFacts()
FIRST_READ = LoadFacts(full_read=True, first=True)
WHOLE = LoadFacts(full_read=True, replaces=True)
DEFERRED = LoadFacts(deferred=True)
LOST_REPLY = TargetUnavailable("the reply was lost")


@pytest.fixture(params=["memory_world", "world"], ids=["memory", "snowflake"])
def loading(request: pytest.FixtureRequest) -> Iterator[Loading]:
    world: Any = request.getfixturevalue(request.param)
    with world.engine() as engine:
        yield Loading(world, engine)


def test_of_two_rows_with_one_key_the_later_one_stays_whatever_is_loaded_again(loading: Loading) -> None:
    run = loading.run()
    run.destination.prepare()
    loader = run.destination.loader(CHANGES)
    first, second = run.batch(0, (1, "old"), (2, "b"), (1, "new")), run.batch(1, (2, "B"), (3, "c"))
    assert loader.load(first) == Loaded(2)
    assert loader.load(second) == Loaded(1)
    assert loader.load(second) == Loaded(0)
    assert loader.finish() == Complete()
    assert loading.rows() == [(1, "new"), (2, "B"), (3, "c")]
    run.destination.batches.cleanup()
    assert loading.leftovers() == []


@pytest.mark.parametrize("phase", ["put", "copied", "merged"])
def test_a_batch_whose_reply_was_lost_is_loaded_once(loading: Loading, phase: str) -> None:
    run = loading.run(observer=RaiseAt(phase, LOST_REPLY))
    run.destination.prepare()
    assert isinstance(run.destination.loader(CHANGES).load(run.batch(0, (1, "a"))), Loaded)
    assert loading.rows() == [(1, "a")]


def test_a_row_of_a_later_run_is_never_overwritten(loading: Loading) -> None:
    """Snowflake's statement fails as a whole then, and changes nothing."""
    run = loading.run()
    run.destination.prepare()
    loader = run.destination.loader(CHANGES)
    loader.load(run.batch(0, (1, "new")))
    with suppress(LeaseLost):
        loader.load(run.batch(1, (1, "stale"), (2, "other"), fence=run.table.claim.fence - 1))
    assert dict(loading.rows())[1] == "new"


@pytest.mark.parametrize(
    "facts", [CHANGES, FIRST_READ, WHOLE, DEFERRED], ids=["merge", "copy", "replace", "defer"]
)
def test_a_run_that_lost_its_claim_changes_nothing(loading: Loading, facts: LoadFacts) -> None:
    stale = loading.run()
    stale.destination.prepare()
    loading.claim()
    with pytest.raises(LeaseLost):
        stale.destination.loader(facts).load(stale.batch(0, (1, "stale")))
    assert loading.rows() == []
    assert loading.leftovers() == []


def test_a_target_that_was_dropped_is_created_again_and_the_checkpoint_with_it_is_gone(
    loading: Loading,
) -> None:
    run = loading.run()
    assert run.destination.prepare().created
    assert not run.destination.prepare().created
    loading.drop()
    outcome = run.destination.loader(CHANGES).load(run.batch(0, (1, "a")))
    assert outcome == TargetRecreated()
    assert run.table.claim.checkpoint is None
    assert loading.rows() == [(1, "a")]
    loading.drop()
    assert run.destination.prepare_again().created


def test_a_first_read_holds_each_key_once_at_its_end(loading: Loading) -> None:
    """A row that moves while it is read is copied twice."""
    run = loading.run(observer=RaiseAt("copied", LOST_REPLY, nth=2))
    run.destination.prepare()
    loader = run.destination.loader(FIRST_READ)
    assert loader.load(run.batch(0, (1, "a"), (2, "b"))) == Loaded(2)
    assert loader.load(run.batch(1, (2, "b"), (3, "c"))) == Loaded(2)
    assert loader.finish() == Complete()
    assert loading.rows() == [(1, "a"), (2, "b"), (3, "c")]
    assert loader.finish() == Complete()
    run.destination.batches.cleanup()
    assert loading.leftovers() == []


def test_a_first_read_into_a_target_with_rows_is_merged(loading: Loading) -> None:
    before = loading.run()
    before.destination.prepare()
    before.destination.loader(CHANGES).load(before.batch(0, (1, "old"), (9, "kept")))
    run = loading.run()
    loader = run.destination.loader(FIRST_READ)
    loader.load(run.batch(0, (1, "new"), (2, "b")))
    loader.finish()
    assert loading.rows() == [(1, "new"), (2, "b"), (9, "kept")]


def test_a_replaced_content_is_there_at_once_and_nothing_else(loading: Loading) -> None:
    before = loading.run()
    before.destination.prepare()
    before.destination.loader(CHANGES).load(before.batch(0, (1, "old"), (9, "gone")))
    run = loading.run(observer=RaiseAt("replaced", LOST_REPLY))
    loader = run.destination.loader(WHOLE)
    assert loader.load(run.batch(0, (1, "new"))) == Staged()
    assert loader.load(run.batch(1, (2, "b"), (1, "newest"))) == Staged()
    assert loading.rows() == [(1, "old"), (9, "gone")]
    assert loader.finish() == Complete(replaced=True)
    assert loading.rows() == [(1, "newest"), (2, "b")]
    empty = loading.run()
    assert empty.destination.loader(WHOLE).finish() == Complete(replaced=True)
    assert loading.rows() == []
    empty.destination.batches.cleanup()
    assert loading.leftovers() == []


def test_appended_rows_are_added_once_and_equal_rows_are_counted(loading: Loading) -> None:
    loading.plan = loading.plan_with(mode="append", pk=None, watermark_column=None)
    for rows in ([(1, "a"), (1, "a")], [(1, "a"), (1, "a"), (2, "b")]):
        run = loading.run()
        run.destination.prepare()
        loader = run.destination.loader(WHOLE)
        assert loader.load(run.batch(0, *rows)) == Staged()
        assert loader.finish() == Complete(replaced=True)
    assert loading.rows() == [(1, "a"), (1, "a"), (2, "b")]


def test_a_shadow_table_takes_the_rows_until_all_are_there(loading: Loading) -> None:
    before = loading.run()
    before.destination.prepare()
    before.destination.loader(CHANGES).load(before.batch(0, (1, "old"), (9, "gone")))
    run = loading.run()
    fence = run.table.claim.fence
    run.destination.prepare()
    run.destination.create_shadow(fence)
    run.destination.create_shadow(fence)
    facts = LoadFacts(backfill=BackfillFacts(fence, True, Attempts(not_after=fence - 1)))
    loader = run.destination.loader(facts)
    assert loader.load(run.batch(1, (1, "new"), (2, "b"))) == Loaded(2)
    run.destination.batches.cleanup()  # not the shadow table
    assert loading.rows() == [(1, "old"), (9, "gone")]
    assert loader.finish() == Complete(replaced=True)
    assert loader.finish() == Complete(replaced=True)
    assert loading.rows() == [(1, "new"), (2, "b")]
    run.destination.batches.cleanup(shadows=True)
    assert loading.leftovers() == []


def test_deferred_batches_change_nothing_until_they_are_loaded_in_order(loading: Loading) -> None:
    run = loading.run()
    run.destination.prepare()
    loader = run.destination.loader(DEFERRED)
    outcomes = [loader.load(run.batch(0, (1, "first"), (2, "b"))), loader.load(run.batch(1, (1, "second")))]
    staged = [outcome.batch for outcome in outcomes if isinstance(outcome, Deferred)]
    assert [(batch.rows, batch.first_row) for batch in staged] == [(2, 0), (1, 2)]
    assert loading.rows() == []
    for _ in range(2):
        run.destination.load_staged(staged, 2)
        assert loading.rows() == [(1, "second"), (2, "b")]
    run.destination.batches.cleanup()
    assert loading.leftovers() == []
    with pytest.raises(StagedRowsLost):
        run.destination.load_staged(staged, 3)


def test_files_that_are_lost_are_noticed_before_anything_is_merged(loading: Loading) -> None:
    run = loading.run()
    run.destination.prepare()
    outcome = run.destination.loader(DEFERRED).load(run.batch(0, (1, "lost")))
    assert isinstance(outcome, Deferred)
    loading.lose_files()
    with pytest.raises(StagedRowsLost):
        run.destination.load_staged([outcome.batch], 1)
    assert loading.rows() == []


def test_rows_that_no_run_from_a_fence_on_has_written_are_pruned(loading: Loading) -> None:
    before = loading.run()
    before.destination.prepare()
    before.destination.loader(CHANGES).load(before.batch(0, (1, "a"), (2, "gone")))
    run = loading.run()
    run.destination.loader(CHANGES).load(run.batch(0, (1, "a")))
    assert run.destination.prune(run.table.claim.fence) == 1
    assert run.destination.prune(run.table.claim.fence) == 0
    assert loading.rows() == [(1, "a")]


def test_a_mark_stays_until_its_row_comes_back(loading: Loading) -> None:
    """With `deletes: soft`, rows that are gone are marked once. An older version of such a row, which a stale worker
    merges late, leaves the mark; a newer one takes it off, also if it was staged for later."""
    loading.plan = loading.plan_with(deletes="soft")
    before = loading.run()
    before.destination.prepare()
    before.destination.loader(CHANGES).load(before.batch(0, (1, "a"), (2, "gone"), (3, "gone")))
    run = loading.run()
    destination, fence = run.destination, run.table.claim.fence
    destination.prepare()
    destination.loader(CHANGES).load(run.batch(0, (1, "a")))
    assert destination.older_rows(fence) == (2, 3)
    assert destination.prune(fence) == 2
    assert destination.prune(fence) == 0
    assert destination.older_rows(fence) == (0, 1)
    assert (loading.marked(), destination.marked_rows()) == ([2, 3], 2)
    assert set(destination.held_keys([(1,), (2,)])) == {(1,)}
    late = run.batch(1, (2, "late"), fence=before.table.claim.fence)
    with suppress(LeaseLost):
        destination.loader(CHANGES).load(late)
    assert loading.rows() == [(1, "a"), (2, "gone"), (3, "gone")]
    assert loading.marked() == [2, 3]
    outcome = destination.loader(DEFERRED).load(run.batch(2, (2, "back")))
    assert isinstance(outcome, Deferred)
    destination.load_staged([outcome.batch], 3)
    assert loading.rows() == [(1, "a"), (2, "back"), (3, "gone")]
    assert loading.marked() == [3]
    assert destination.delete_marked() == 1
    assert loading.rows() == [(1, "a"), (2, "back")]
