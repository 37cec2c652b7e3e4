"""One loader per run, chosen by facts alone; and the statements that plan prints are values that a run executes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pgsnow.ledger.claim import Claim
from pgsnow.model.errors import LoadMismatch
from pgsnow.snowflake.session import Result
from pgsnow.snowflake.statement import COPY, MERGE, PUT, RowsLoaded, SqlStatement, execute, result_of
from pgsnow.sync.load.choose import BackfillFacts, LoadFacts, choose
from pgsnow.sync.load.claimed_table import ClaimedTable
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.deferred import DeferredLoader
from pgsnow.sync.load.direct_copy import Attempts, DirectCopyLoader
from pgsnow.sync.load.merge import MergeLoader
from pgsnow.sync.load.replace import AppendLoader, ReplaceLoader
from pgsnow.sync.load.shadow_table import ShadowTableLoader
from tests.unit.model.evolving import plan_of, table

NOTHING: Any = None
"""A part of the context that no choice depends on."""
EVERYTHING: dict[str, Any] = {"full_read": True, "first": True}
CHUNK: dict[str, Any] = {"fence": 7, "attempts": Attempts(not_after=6)}


def context(**config: Any) -> LoadContext:
    plan = plan_of(table(), **config)
    claim = Claim("public.things", "run", "holder", 9, None)
    return LoadContext(
        plan, ClaimedTable(NOTHING, claim), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING
    )


@pytest.mark.parametrize(
    ("facts", "loader"),
    [
        ({}, MergeLoader),
        (EVERYTHING, DirectCopyLoader),
        (EVERYTHING | {"resumable": True}, MergeLoader),
        ({"full_read": True}, MergeLoader),
        ({"full_read": True, "replaces": True}, ReplaceLoader),
        ({"replaces": True}, MergeLoader),
        ({"deferred": True}, DeferredLoader),
        ({"backfill": BackfillFacts(shadow=False, **CHUNK)}, DirectCopyLoader),
        ({"backfill": BackfillFacts(shadow=True, **CHUNK)}, ShadowTableLoader),
    ],
    ids=str,
)
def test_the_facts_of_a_run_choose_its_loader(facts: dict[str, Any], loader: type) -> None:
    assert type(choose(context(), LoadFacts(**facts))) is loader


def test_a_table_that_appends_is_replaced_only_if_a_person_asks() -> None:
    load, facts = context(mode="append", pk=None, watermark_column=None), EVERYTHING | {"replaces": True}
    assert isinstance(choose(load, LoadFacts(**facts)), AppendLoader)
    assert isinstance(choose(load, LoadFacts(**facts, requested=True)), ReplaceLoader)


@dataclass
class Session:
    """Answers every statement with one row of counts, and keeps the texts."""

    counts: dict[str, int]
    sent: list[str] = field(default_factory=list)

    def execute(self, text: str) -> Result:
        self.sent.append(text)
        return Result([tuple(self.counts.values())], tuple(self.counts), f"id {len(self.sent)}")


def test_steps_are_sent_phase_by_phase_and_nothing_of_the_next_phase_before_it_is_asked_for() -> None:
    session: Any = Session({"number of rows inserted": 2, "rows_loaded": 3})
    steps = [
        SqlStatement("create"),
        SqlStatement("put 1", PUT),
        SqlStatement("put 2", PUT),
        SqlStatement("copy", COPY, RowsLoaded(3, "found")),
        SqlStatement("merge", MERGE),
    ]
    phases = []
    for done in execute(session, steps):
        phases.append((done.event, session.sent[-1]))
    assert phases == [(None, "create"), ("put", "put 2"), ("copied", "copy"), ("merged", "merge")]
    result = result_of(list(execute(session, steps)))
    assert (result.inserted, result.query_ids, list(result.seconds)) == (
        2,
        ("id 9", "id 10"),
        [PUT, COPY, MERGE],
    )


def test_a_proof_that_fails_keeps_the_next_phase_from_being_sent() -> None:
    session: Any = Session({"rows_loaded": 3})
    steps = [
        SqlStatement("copy", COPY, RowsLoaded(4, "4 rows were written, Snowflake loaded")),
        SqlStatement("merge", MERGE),
    ]
    with pytest.raises(LoadMismatch, match="4 rows were written, Snowflake loaded 3"):
        list(execute(session, steps))
    assert session.sent == ["copy"]
