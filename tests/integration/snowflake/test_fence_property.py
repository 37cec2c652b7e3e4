"""However units are delivered (late, twice, in any order), each key ends with what the latest run that had it wrote."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import Session
from tests.examples import rounds
from tests.integration.snowflake.units import ID, OUTPUT, ensure_target, load, rows_of, write_unit

RUNS = st.lists(
    st.lists(
        st.tuples(st.integers(1, 4), st.one_of(st.none(), st.text("ab'\\", max_size=3))),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=3,
)
FRESH = itertools.count()


@pytest.mark.parametrize("method", ["files", "bound"])
@given(runs=RUNS, data=st.data())
@settings(max_examples=rounds(3), deadline=None, suppress_health_check=list(HealthCheck))
def test_each_key_has_the_latest_runs_value(
    session: Session,
    target: TargetName,
    tmp_path: Path,
    method: str,
    runs: list[list[tuple[int, str | None]]],
    data: st.DataObject,
) -> None:
    table = target.sibling(f"T{next(FRESH)}")
    folder = tmp_path / table.table
    units = [write_unit(folder, OUTPUT, rows, fence=fence) for fence, rows in enumerate(runs, 10)]
    again = data.draw(st.lists(st.sampled_from(units), max_size=2))
    delivered = data.draw(st.permutations([*units, *again]))
    ensure_target(session, table, OUTPUT, (ID,), None)
    for unit in delivered:
        load(session, table, OUTPUT, (ID,), unit, method=method, notify=lambda phase: None)
    expected = {key: value for rows in runs for key, value in rows}
    assert rows_of(session, table) == sorted(expected.items())
