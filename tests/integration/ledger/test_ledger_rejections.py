"""Statements that a real server rejects: each is an error with a retry rule, and advice that names the table."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgsnow.ledger import session
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import Rejected
from pgsnow.model.errors import LedgerAccessDenied, LedgerUnavailable
from tests.integration.ledger.conformance import USERS, checkpoint, take
from tests.integration.ledger.crew import Dsn, PostgresCrew


@pytest.fixture
def public(database: str) -> Iterator[PostgresCrew]:
    """A migrated ledger in the default schema."""
    crew = PostgresCrew(database, "public")
    crew.worker().migrate()
    yield crew
    crew.close()


def test_a_dropped_table_is_created_again(public: PostgresCrew) -> None:
    worker = public.worker()
    claim = take(worker)
    worker.checkpoints.advance(claim, checkpoint(x=5))
    public.sql("drop table sync_errors")
    worker.migrate()
    worker.rejected_rows.add(claim, [Rejected({"id": "1"}, "bad")])
    assert [row.key for row in worker.rejected_rows.listed()] == [{"id": "1"}]
    assert worker.checkpoints.remembered()[USERS].checkpoint == checkpoint(x=5)


def test_what_only_reads_names_a_dropped_column(public: PostgresCrew) -> None:
    """A process that has not migrated the ledger creates nothing in it."""
    worker = public.worker()
    claim = take(worker)
    public.sql("alter table sync_watermarks drop column checkpoint")
    with pytest.raises(LedgerAccessDenied, match="checkpoint") as caught:
        worker.checkpoints.advance(claim, checkpoint())
    assert (caught.value.code, caught.value.transient) == (None, False)
    assert "The next run" in caught.value.advice
    worker.migrate()
    worker.checkpoints.advance(claim, checkpoint(x=7))
    assert worker.checkpoints.remembered()[USERS].checkpoint == checkpoint(x=7)


def test_revoked_privileges_are_named(public: PostgresCrew) -> None:
    role = f"clerk_{public.dsn.split('/')[-1].split('?')[0][-8:]}"
    public.sql(f"create role {role} login")
    try:
        public.sql(f"grant select, insert, update, delete on all tables in schema public to {role}")
        worker = Ledger(Dsn(psycopg.conninfo.make_conninfo(public.dsn, user=role)))
        claim = take(worker)
        public.sql(f"revoke update on sync_watermarks from {role}")
        with pytest.raises(LedgerAccessDenied, match="sync_watermarks") as caught:
            worker.checkpoints.advance(claim, checkpoint())
        worker.close()
    finally:
        public.sql(f"drop owned by {role}")
        public.sql(f"drop role {role}")
    assert (caught.value.code, caught.value.transient) == ("42501", False)
    assert "UPDATE" in caught.value.advice


@pytest.mark.parametrize("lock", ["select from sync_watermarks for update", "lock table sync_watermarks"])
def test_a_lock_that_is_not_released_is_named_and_the_statement_may_be_tried_again(
    public: PostgresCrew, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    monkeypatch.setitem(session._SERVER, "lock_timeout", "100ms")
    worker = public.worker()
    claim = take(worker)
    with psycopg.connect(public.dsn) as somebody:
        somebody.execute(lock)
        with pytest.raises(LedgerUnavailable) as caught:
            worker.checkpoints.advance(claim, checkpoint())
    assert (caught.value.code, caught.value.transient) == ("55P03", True)
    assert "public" in caught.value.advice
    assert "locked" in caught.value.advice
    worker.checkpoints.advance(claim, checkpoint())


def test_a_statement_timeout_may_be_tried_again(
    public: PostgresCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session._SERVER, "statement_timeout", "100ms")
    worker = public.worker()
    claim = take(worker)
    with psycopg.connect(public.dsn) as somebody:
        somebody.execute("select from sync_watermarks for update")
        with pytest.raises(LedgerUnavailable) as caught:
            worker.checkpoints.advance(claim, checkpoint())
    assert (caught.value.code, caught.value.transient) == ("57014", True)
    worker.checkpoints.advance(claim, checkpoint())
