"""A MERGE with the bounds of its batches' keys finds every row that it changes, also for keys that are no integers."""

from __future__ import annotations

from tests.world import World

KEYS = {
    "digits": ("numeric(38,0)", "(g - 10) * 9999999999999999999999999999999999999::numeric"),
    "day": ("date", "date '1583-01-01' + (g - 1) * 150000"),
    "moment": ("timestamptz", "timestamptz '1999-12-31 23:59:59.999999+00' + g * interval '1 microsecond'"),
    "seven": ("uuid", "(lpad(to_hex(1700000000000 + g * 60000), 12, '0') || '70008000000000000000')::uuid"),
}
"""Type of the key, and its value in row g."""


def test_rows_at_the_edges_of_staged_batches_are_updated_and_inserted_once(world: World) -> None:
    """The smallest and the largest key of all batches that one MERGE loads, to the microsecond and the last digit, are
    found in the target; the statement has their literal bounds."""
    world.tables = []
    for name, (kind, key) in KEYS.items():
        world.sql(f"create table {name} (k {kind} primary key, n int)")
        world.sql(f"insert into {name} select {key}, 0 from generate_series(2, 9) g")
        entry = {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "xmin"}
        world.tables.append({**entry, "load_every": "50d"})
    with world.engine() as engine:
        engine.tick()
        before = world.emulator.noted()
        for change in ("g between 2 and 4", "g in (3, 5)"):
            for name, (_, key) in KEYS.items():
                keys = f"select {key} from generate_series(2, 9) g where {change}"
                world.sql(f"update {name} set n = n + 1 where k in ({keys})")
                world.sql(
                    f"insert into {name} select {key}, 7 from generate_series(1, 1) g on conflict do nothing"
                )
            engine.tick()
        engine.tick(load=True)
    merges = [text for text in world.emulator.statements_since(before) if text.startswith("MERGE")]
    assert len(merges) == len(KEYS)
    assert all(' AND t."K" BETWEEN ' in text for text in merges)
    world.assert_equal()
