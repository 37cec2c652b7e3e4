"""`load: auto` takes the way that was measured to be the quicker one."""

from __future__ import annotations

import pytest

from pgsnow.snowflake.load.merge import INSERT_BYTES, INSERT_ROWS, choose_method


@pytest.mark.parametrize(
    ("rows", "size", "method"),
    [
        (1, 1_000, "insert"),
        (INSERT_ROWS, INSERT_BYTES, "insert"),
        (INSERT_ROWS + 1, 1_000, "stage"),
        (1, INSERT_BYTES + 1, "stage"),
        (1_000_000, 10**8, "stage"),
    ],
)
def test_few_small_rows_are_bound_and_all_others_staged(rows: int, size: int, method: str) -> None:
    assert choose_method(rows, size) == method
