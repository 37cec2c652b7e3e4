"""A right is withdrawn while rows are read.

Group: rights
Danger: An administrator revokes SELECT between two pages of one read. Rows that were not read any more would look
read, or deleted.
Answer: The run fails with the GRANT that is missing, and its checkpoint stays where it was. After the right is
back, the next tick reads the rest. A statement that is running is not affected by a REVOKE, and reads all of its
rows.
"""

from __future__ import annotations

import pytest

from pgsnow.testing.faults import AtPhase
from tests.edges.reader import reading_role
from tests.world import MemoryWorld

WITHDRAWN = {
    "the table": ("revoke select on users from {role}", "grant select on users to {role}"),
    "a column": (
        "revoke select on users from {role};"
        " grant select (id, name, profile, updated_at, xmin, ctid) on users to {role}",
        "grant select on users to {role}",
    ),
    "the schema": ("revoke usage on schema public from public", "grant usage on schema public to public"),
}
PHASES = ("started", "page", "written", "checkpointed")


@pytest.mark.parametrize(
    ("what", "phase"),
    [
        pytest.param(what, phase, marks=() if (n + m) % 4 == 1 else pytest.mark.thorough)
        for n, what in enumerate(WITHDRAWN)
        for m, phase in enumerate(PHASES)
    ],
)
def test_what_was_read_is_kept_and_the_rest_is_read_later(
    memory_world: MemoryWorld, what: str, phase: str
) -> None:
    """The right goes at this point of a first load in pages, and comes back after the tick."""
    world = memory_world
    world.sql("insert into users (id, name) select g, repeat('n', 300) || g from generate_series(1, 4000) g")
    world.tables[0] |= {"max_rows_per_load": 1000, "sweep_every": "1ms", "sweep_share": "100%"}
    withdraw, grant = WITHDRAWN[what]
    with reading_role(world) as role:
        world.sql(f"grant select on users to {role}")
        at_phase = AtPhase(phase, lambda: world.sql(withdraw.format(role=role)))
        with world.engine(at_phase) as engine:
            (first,) = engine.tick().tables
        if not first.ok:
            assert first.error_type in {"SourceAccessDenied", "SchemaMoved", "SourceTableMissing"}, first
            assert first.advice, first
        world.sql(withdraw.format(role=role))
        with world.engine() as engine:
            (second,) = engine.tick(["public.users"]).tables
        assert (second.error_type, second.rows_deleted) in {("SourceAccessDenied", 0), (None, 0)}, second
        world.sql(grant.format(role=role))
        world.sql("delete from users where id = 5; insert into users (id) values (9001)")
        with world.engine() as engine:
            assert engine.tick(["public.users"]).failures == ()
        world.assert_equal()
        world.close_engine()
