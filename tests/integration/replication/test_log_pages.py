"""Changes in the log of a real server, decoded and compacted, compared with the table itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pgsnow.model.errors import KeyNotLogged, RelationChanged
from pgsnow.sync.stream import pages
from pgsnow.sync.stream.change_page import ChangeCounts
from pgsnow.sync.stream.pages import change_pages
from tests.integration.replication.log_lab import LogLab
from tests.integration.replication.target_rows import TargetRows

TABLE = """create table t (
    id int not null, kind int not null default 1, n int, big text, other text, updated_at int default 0,
    primary key (id)
)"""
SOME = "insert into t (id, big, other) select n, repeat(chr(96 + n), 3000), n from generate_series(1, 3) n"
KEY = st.integers(1, 5)
TEXT = st.sampled_from(["", "short", "x" * 3000, "y" * 3000, None])
"""Long ones are stored out of line."""
OPERATION = st.one_of(
    st.builds("insert into t (id, n, big, other) values ({}, {}, {}, {}) on conflict do nothing".format,
              KEY, st.integers(0, 9), *[TEXT.map(lambda v: "null" if v is None else f"'{v}'")] * 2),
    st.builds("update t set n = {} where id = {}".format, st.integers(0, 9), KEY),
    st.builds("update t set n = n + 1 where id >= {}".format, KEY),
    st.builds("update t set {} = {} where id = {}".format, st.sampled_from(["big", "other"]),
              TEXT.map(lambda v: "null" if v is None else f"'{v}'"), KEY),
    st.builds("update t set id = {0}, n = n + 1 where id = {1} and not exists (select from t where id = {0})".format,
              KEY, KEY),
    st.builds("update t set id = {0}, kind = kind + 1 where id = {1} and not exists (select from t where id = {0})"
              .format, KEY, KEY),
    st.builds("delete from t where id = {}".format, KEY),
    st.builds("delete from t where id >= {}".format, KEY),
    st.builds("update t set id = -id where id in ({0}, {1}); update t set id = case id when -{0} then {1} else {0} end"
              " where id in (-{0}, -{1}) and {0} <> {1}; update t set id = -id where id < 0".format, KEY, KEY),
    st.just("truncate t"),
)  # fmt: skip
IDENTITIES = {
    "default": "alter table t replica identity default",
    "full": "alter table t replica identity full",
    "index": "alter table t replica identity using index by_kind",
}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_any_changes_lead_to_the_table(log: LogLab, monkeypatch: pytest.MonkeyPatch, identity: str) -> None:
    """Whatever is inserted, updated, deleted, given another key, swapped or truncated, in one transaction or in
    several: the target has the rows of the table, and no row takes a value from a key that its own batch has changed.
    """
    lab = log.lab
    lab.run(TABLE, "create unique index by_kind on t (id, kind)", IDENTITIES[identity])
    lab.run(*(f"alter table t alter {name} set storage external" for name in ("big", "other")))
    plan = lab.plan(watermark_column=None, mode="xmin")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.lists(OPERATION, min_size=1, max_size=6), min_size=1, max_size=4),
        st.integers(1, 12),
        st.integers(1, 12),
    )
    def follows(transactions: list[list[str]], block: int, page: int) -> None:
        monkeypatch.setattr(pages, "PAGE_CHANGES", page)
        lab.run("delete from t", SOME)
        log.blocks(plan.source.oid)
        target = TargetRows(plan, {(row["id"],): row for row in rows_of(log)})
        for statements in transactions:
            lab.run("; ".join(statements))
        target.load(change_pages(log.blocks(plan.source.oid, most=block), plan, lab.source))
        assert [target.rows[key] for key in sorted(target.rows)] == rows_of(log)

    follows()


def test_changes_from_before_a_snapshot_are_applied_again(
    log: LogLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table joins the log with rows of a snapshot that is newer than the log's beginning. Its rows may have other
    keys than those that the log shows first, and other rows may have those: in the end the target is the table, once
    the rows of which it lacks a part were read again."""
    lab = log.lab
    lab.run(TABLE, "alter table t alter big set storage external")
    plan = lab.plan(watermark_column=None, mode="xmin")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.lists(OPERATION, min_size=1, max_size=4), min_size=2, max_size=6),
        st.integers(0, 3),
        st.integers(1, 12),
        st.integers(1, 12),
    )
    @example(
        [["update t set id = 5 where id = 1"], ["insert into t (id, big) values (1, 'other')"]], 2, 12, 12
    )
    @example([["delete from t where id = 1"], ["update t set id = 1 where id = 2"]], 2, 12, 12)
    @example([["update t set id = 5 where id = 1"], ["update t set id = 6 where id = 5"]], 1, 12, 12)
    def follows(transactions: list[list[str]], first: int, block: int, page: int) -> None:
        monkeypatch.setattr(pages, "PAGE_CHANGES", page)
        lab.run("delete from t", SOME)
        log.blocks(plan.source.oid)
        for statements in transactions[:first]:
            lab.run("; ".join(statements))
        target = TargetRows(plan, {(row["id"],): row for row in rows_of(log)}, incomplete=set())
        for statements in transactions[first:]:
            lab.run("; ".join(statements))
        blocks = log.blocks(plan.source.oid, most=block)
        target.load(change_pages(blocks, plan, lab.source))
        present = {(row["id"],): row for row in rows_of(log)}
        again = {key: present[key] for key in target.incomplete or () if key in present}
        kept = {key: row for key, row in target.rows.items() if key not in (target.incomplete or ())}
        assert {**kept, **again} == present

    follows()


def rows_of(log: LogLab) -> list[dict[str, Any]]:
    names = ("id", "kind", "n", "big", "other", "updated_at")
    return [
        dict(zip(names, row, strict=True))
        for row in log.lab.admin.execute("select * from t order by id").fetchall()
    ]


def test_changes_are_counted_before_they_are_compacted(log: LogLab) -> None:
    """The numbers of inserts, updates and deletes are those of the log, whatever became of the rows; each key has the
    commit of its own last change."""
    lab = log.lab
    lab.run(TABLE)
    plan = lab.plan(watermark_column=None, mode="xmin")
    lab.run(
        "insert into t select n from generate_series(1, 3) n",
        "update t set n = 5 where id = 1",
        "delete from t where id = 2",
        "update t set id = 4 where id = 3",
    )
    [page] = change_pages(log.blocks(plan.source.oid), plan, lab.source)
    assert page.counts == ChangeCounts(inserts=3, updates=2, deletes=1)
    assert page.page.rows.column("id").to_pylist() == [1, 4]
    assert page.deleted.to_pylist() == [{"id": 2}, {"id": 3}]
    first, last = page.commits.to_pylist()
    assert first < page.deleted_commits[0].as_py() < last
    assert str(page.counts) == "3 inserts, 2 updates, 1 delete"


def test_threads_that_make_pages_end_with_them(log: LogLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages after the first are made in threads; when nobody wants more of them, no thread is left, and none reads the
    spool any more."""
    lab = log.lab
    lab.run(TABLE)
    plan = lab.plan(watermark_column=None, mode="xmin")
    lab.run("insert into t (id, n) select g, 1 from generate_series(1, 50) g")
    monkeypatch.setattr(pages, "PAGE_CHANGES", 1)
    before = set(threading.enumerate())
    made = change_pages(log.blocks(plan.source.oid, most=1), plan, lab.source)
    assert [next(made).page.rows.column("id").to_pylist() for _ in range(3)] == [[1], [2], [3]]
    made.close()
    assert set(threading.enumerate()) <= before


def test_a_key_that_is_stored_out_of_line(log: LogLab) -> None:
    """A key may be so long that the log leaves it out of updates that do not change it; the old row in the log has
    it."""
    lab = log.lab
    lab.run("create table t (id text primary key, n int)", "alter table t alter id set storage external")
    plan = lab.plan(watermark_column=None, mode="xmin")
    target = TargetRows(plan)
    lab.run(*(f"insert into t values (repeat('{letter}', 2500), 1)" for letter in "ab"))
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    lab.run("update t set n = 2", "update t set n = 3, id = repeat('c', 2500) where id like 'b%'")
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert {key[0][:2]: row["n"] for key, row in target.rows.items()} == {"aa": 2, "cc": 3}


def test_partitions_are_one_table(log: LogLab) -> None:
    """Whatever the columns' order in a partition is; a row that moves to another one is deleted and inserted in the
    log, and a large value that did not change comes with it."""
    lab = log.lab
    lab.run(
        "create table t (id int, kind int, big text, primary key (id, kind)) partition by list (kind)",
        "create table t1 partition of t for values in (1)",
        "create table t2 (extra int, big text, kind int not null, id int not null)",
        "alter table t2 drop extra",
        "alter table t attach partition t2 for values in (2)",
        *(f"alter table {name} alter big set storage external" for name in ("t1", "t2")),
    )
    plan = lab.plan(watermark_column=None, mode="xmin", pk=["id", "kind"])
    target = TargetRows(plan)
    lab.run("insert into t select n, 1 + n % 2, repeat(n::text, 3000) from generate_series(1, 4) n")
    lab.run(
        "update t set kind = 2 where id = 2", "update t set id = 5 where id = 3", "delete from t where id = 1"
    )
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert sorted((*key, row["big"][:2], len(row["big"])) for key, row in target.rows.items()) == [
        (2, 2, "22", 3000), (4, 1, "44", 3000), (5, 2, "33", 3000)
    ]  # fmt: skip
    lab.run("truncate t", "insert into t values (9, 1, 'a')")
    target.load(change_pages(log.blocks(plan.source.oid), plan, lab.source))
    assert list(target.rows) == [(9, 1)]


@pytest.mark.parametrize(
    ("statements", "error"),
    [
        (["alter table t add more int"], RelationChanged),
        (["alter table t drop n"], RelationChanged),
        (["alter table t alter n type bigint"], RelationChanged),
        (
            ["create unique index other on t (kind)", "alter table t replica identity using index other"],
            KeyNotLogged,
        ),
    ],
)
def test_rows_of_another_definition_are_refused(
    log: LogLab, statements: list[str], error: type[Exception]
) -> None:
    """Changes after DDL are not decoded by the plan from before; those before it are."""
    lab = log.lab
    lab.run(TABLE)
    plan = lab.plan(watermark_column=None, mode="xmin")
    lab.run("insert into t values (1)", *statements, "insert into t values (2, 2)")
    found = change_pages(log.blocks(plan.source.oid), plan, lab.source)
    with pytest.raises(error, match=r"public\.t"):
        list(found)
