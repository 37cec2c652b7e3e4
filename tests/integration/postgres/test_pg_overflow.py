"""What a type cannot hold follows on_overflow, value by value, and what was changed is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT
from pgsnow.postgres.read.reader import open_reader
from tests.integration.postgres.lab import Lab

FIRST, LAST = datetime.min, datetime.max
BEYOND: list[tuple[str, str, Any, Any, str | None]] = [
    ("date", "'infinity'", None, date.max, "infinity"),
    ("date", "'-infinity'", None, date.min, "-infinity"),
    ("date", "'5874897-12-31'", None, date.max, "5874897-12-31"),
    ("date", "'4714-11-24 BC'", None, date.min, "4714-11-24 BC"),
    ("time", "'24:00'", None, time.max, "24:00:00"),
    ("timestamp", "'infinity'", None, LAST, "infinity"),
    ("timestamp", "'-infinity'", None, FIRST, "-infinity"),
    ("timestamp", "'294276-12-31 23:59:59.999999'", None, LAST, "294276-12-31 23:59:59.999999"),
    ("timestamp", "'4714-11-24 00:00 BC'", None, FIRST, "4714-11-24 00:00:00 BC"),
    ("timestamptz", "'infinity'", None, LAST.replace(tzinfo=UTC), "infinity"),
    ("timestamptz", "'-infinity'", None, FIRST.replace(tzinfo=UTC), "-infinity"),
    ("timestamptz", "'10000-01-01 00:00+00'", None, LAST.replace(tzinfo=UTC), "10000-01-01 00:00:00+00"),
    ("timestamptz", "'0001-12-31 23:00+00 BC'", None, FIRST.replace(tzinfo=UTC), "0001-12-31 23:00:00+00 BC"),
    ("text", f"repeat('x', {TEXT_LIMIT + 5})", None, "x" * TEXT_LIMIT, None),
    ("text", f"'x' || repeat('é', {TEXT_LIMIT // 2})", None, "x" + "é" * (TEXT_LIMIT // 2 - 1), None),
    ("bytea", f"decode(repeat('ab', {BINARY_LIMIT + 1}), 'hex')", None, b"\xab" * BINARY_LIMIT, None),
]
"""(type, value, with null, with clamp, with text); None with text: its row is rejected."""
WITHOUT_NEAREST = [
    ("numeric(5,2)", "'NaN'", "NaN"),
    ("jsonb", f"'{'7' * 39}'", "7" * 39),
    ("json", "'[1e400]'", "[1e400]"),
    ("numeric[]", f"'{{{'7' * 39}}}'", f"[{'7' * 39}]"),
]


Outcome = tuple[Any, int, int]
"""The value, cells changed in its column, and rows rejected."""


def arrived(lab: Lab, how: str, cells: Sequence[tuple[str, str]]) -> list[Outcome]:
    """Each type and value is in a column and a row of its own, between two good rows."""
    names = [f"v{at}" for at in range(len(cells))]
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in zip(names, cells, strict=True))
    lab.run(
        "drop table if exists t",
        f"create table t (id int primary key, {columns}, updated_at timestamptz default now())",
        f"insert into t (id) values (-1), ({len(cells)})",
        *(f"insert into t (id, v{at}) values ({at}, {value})" for at, (_, value) in enumerate(cells)),
    )
    follower = lab.follow(columns={"on_overflow": dict.fromkeys(names, how)})
    with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
        pages = list(reading.pages())
    rows = {row["id"]: row for page in pages for row in page.rows.to_pylist()}
    changed: Counter[str] = Counter()
    for page in pages:
        changed.update(dict(page.changed))
    rejected = Counter(row.key["id"] for page in pages for row in page.rejected)
    assert rows.keys() >= {-1, len(cells)}
    return [(rows.get(at, {}).get(name), changed[name], rejected[str(at)]) for at, name in enumerate(names)]


def assert_arrives(lab: Lab, how: str, wanted: Sequence[tuple[str, str, Outcome]]) -> None:
    """Type, value and what becomes of it."""
    found = arrived(lab, how, [(kind, value) for kind, value, _ in wanted])
    for outcome, (kind, value, expected) in zip(found, wanted, strict=True):
        assert outcome == expected, (how, kind, value[:40])


def test_null_clamp_and_text_each_do_what_they_say(lab: Lab) -> None:
    assert_arrives(lab, "null", [(kind, value, (emptied, 1, 0)) for kind, value, emptied, _, _ in BEYOND])
    assert_arrives(lab, "clamp", [(kind, value, (clamped, 1, 0)) for kind, value, _, clamped, _ in BEYOND])
    assert_arrives(
        lab, "text", [(kind, value, (told, 0, 0 if told else 1)) for kind, value, _, _, told in BEYOND]
    )


def test_what_has_no_nearest_value_is_rejected_by_clamp(lab: Lab) -> None:
    assert_arrives(lab, "null", [(kind, value, (None, 1, 0)) for kind, value, _ in WITHOUT_NEAREST])
    assert_arrives(lab, "clamp", [(kind, value, (None, 0, 1)) for kind, value, _ in WITHOUT_NEAREST])
    assert_arrives(lab, "text", [(kind, value, (told, 0, 0)) for kind, value, told in WITHOUT_NEAREST])


def test_cells_of_rows_that_are_rejected_are_not_counted(lab: Lab) -> None:
    lab.run(
        "create table t (id int primary key, a date, b time, updated_at timestamptz default now())",
        "insert into t values (1, 'infinity', '24:00'), (2, 'infinity', null), (3, '-infinity', '12:00')",
    )
    follower = lab.follow(columns={"on_overflow": {"a": "null"}}, max_rows_per_load=1)
    with open_reader(follower.source, follower.plan, None, follower.horizon()) as reading:
        pages = list(reading.pages())
    assert [page.changed for page in pages] == [(("a", 2),), ()]
    assert [row.key for page in pages for row in page.rejected] == [{"id": "1"}]


@pytest.mark.parametrize("late_rows", ["lossless", "off"])
def test_a_watermark_that_overflows_is_changed_in_the_target_and_followed_as_it_is(
    lab: Lab, late_rows: str
) -> None:
    lab.run("create table t (id int primary key, updated_at timestamptz)")
    lab.run("insert into t values (1, 'infinity'), (2, '2026-01-01 00:00+00'), (3, null)")
    for how, wanted in (("clamp", LAST.replace(tzinfo=UTC)), ("null", None), ("text", "infinity")):
        follower = lab.follow(on_overflow=how, late_rows=late_rows)
        follower.tick()
        assert follower.copy[1]["updated_at"] == wanted
        assert follower.checkpoint is not None
        assert str(follower.checkpoint.last_watermark).startswith("2026-01-01 00:00:00")
