"""Load units of many part files with few rows, for tests: everything that sets the sizes, made small."""

from __future__ import annotations

from pgsnow.postgres.convert import convert as arrival
from pgsnow.sync.pipeline import parquet

ROWS = 50
"""A page, and a part file, of so many."""


def make_parts_small() -> dict[tuple[object, str], object]:
    """What each setting was before."""
    small: dict[tuple[object, str], object] = {
        (arrival, "rows_of_page"): lambda _: ROWS,
        (parquet, "ROW_GROUP_ROWS"): 1,
        (parquet, "PART_BYTES"): 1,
    }
    before = {(module, name): getattr(module, name) for module, name in small}
    for (module, name), value in small.items():
        setattr(module, name, value)
    return before


def restore(before: dict[tuple[object, str], object]) -> None:
    for (module, name), value in before.items():
        setattr(module, name, value)
