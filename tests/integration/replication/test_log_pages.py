"""Changes in the log of a real server, decoded and compacted, compared with the table itself."""

from __future__ import annotations

from pgsnow.sync.stream.pages import change_pages
from tests.integration.replication.log_lab import LogLab


def test_a_page_has_the_end_state_of_each_key(log: LogLab) -> None:
    """Of several changes of a row only the last is loaded, and a deleted row is a deleted key."""
    lab = log.lab
    lab.run("create table t (id bigint primary key, v text, updated_at timestamptz default now())")
    plan = lab.plan()
    lab.run(
        "insert into t values (1, 'a'), (2, 'b'), (3, 'c')",
        "update t set v = 'x' where id = 1",
        "delete from t where id = 2",
        "update t set id = 4 where id = 3",
    )
    [page] = change_pages(log.blocks(plan.source.oid), plan, lab.source)
    assert page.page.rows.select(["id", "v"]).to_pylist() == [{"id": 1, "v": "x"}, {"id": 4, "v": "c"}]
    assert page.deleted.to_pylist() == [{"id": 2}, {"id": 3}]
