"""What a trigger sets is told from its source."""

from __future__ import annotations

import pytest

from pgsnow.postgres.catalog.trigger_source import argument_columns, assigned_columns


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("BEGIN NEW.last_update = CURRENT_TIMESTAMP; RETURN NEW; END", {"last_update"}),
        ("begin\n new.at := now();\n new.version := old.version + 1; return new; end", {"at", "version"}),
        ('begin new."ModifiedAt" := now(); return new; end', {"ModifiedAt"}),
        ("begin if new is distinct from old then new.at := now(); end if; return new; end", {"at"}),
        ("begin select now() into new.at; return new; end", {"at"}),
        ("begin /* why */ -- indeed\n new.at := now(); return new; end", {"at"}),
        ("begin if new.version = old.version then raise 'stale'; end if; return new; end", set()),
        ("begin -- new.at := now();\n return new; end", set()),
        ("begin insert into log values (new.id, now()); return new; end", set()),
    ],
)  # fmt: skip
def test_assignments_count_and_conditions_do_not(body: str, columns: set[str]) -> None:
    assert assigned_columns(body) == columns


def test_a_column_named_as_an_argument_counts() -> None:
    assert argument_columns("updated_at\\000", ["id", "updated_at"]) == {"updated_at"}
    assert argument_columns("", ["id"]) == frozenset()
