"""A part file is altered between its writing and its upload: nothing of it is loaded, and the next tick is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pgsnow.snowflake.stage.stage import InternalStage
from tests.world import World

CHANGED = "update users set name = 'new', updated_at = clock_timestamp() where id <= 100"


def fewer_rows(file: Path) -> None:
    pq.write_table(pq.read_table(file).slice(1), file)


def more_rows(file: Path) -> None:
    rows = pq.read_table(file)
    pq.write_table(rows.take([*range(rows.num_rows), 0]), file)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def linked(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("another user's file")
    file.unlink()
    file.symlink_to(other)


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (fewer_rows, ("LoadMismatch", True)),
        pytest.param(more_rows, ("LoadMismatch", True), marks=pytest.mark.thorough),
        pytest.param(cut, ("TargetQueryFailed", False), marks=pytest.mark.thorough),
        pytest.param(linked, ("TargetQueryFailed", False), marks=pytest.mark.thorough),
    ],
)
def test_nothing_of_an_altered_file_is_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch, alter: Callable[[Path], None], expected: tuple[str, bool]
) -> None:
    """Rows that are missing, more rows, a cut file, and a link to a file of another user: the run fails, the target and
    the checkpoint stay, and the rows are read again."""
    world.sql("insert into users (id, name) select g, 'old' from generate_series(1, 100) g")
    with world.engine() as engine:
        assert engine.tick().failures == ()
        world.sql(CHANGED)
        put = InternalStage.put

        def altered(stage: InternalStage, target: Any, batch: str, parts: Sequence[Path]) -> Any:
            alter(parts[0])
            return put(stage, target, batch, parts)

        with monkeypatch.context() as patched:
            patched.setattr(InternalStage, "put", altered)
            [report] = engine.tick().tables
        assert not report.ok, report
        assert (report.error_type, report.transient) == expected, report.error
        assert world.snowflake("SELECT DISTINCT NAME FROM ANALYTICS.USERS") == [("old",)]
        assert engine.tick(["public.users"]).failures == ()
    world.assert_equal()
