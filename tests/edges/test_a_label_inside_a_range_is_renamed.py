"""A label of an enum is renamed that values contain as a part.

Group: values
Danger: `alter type mood rename value 'ok' to 'fine'` changes what every row shows, without writing any. A column whose
type is a range of moods is still loaded as it was.
Answer: labels are followed into arrays, domains, composite types, ranges and multiranges. A renamed one is a reason to
read the table again.
"""

from __future__ import annotations

import pytest

from tests.world import MemoryWorld


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("moods", "[sad,ok]"),
        ("moods[]", '{"[sad,ok]"}'),
        ("moods_multirange", "{[sad,ok]}"),
        ("held", '("[sad,ok]")'),
    ],
)
def test_what_contains_it_is_read_again(memory_world: MemoryWorld, kind: str, value: str) -> None:
    """A renamed label is a reason to read everything. An added one is none, except inside a composite type."""
    memory_world.sql("create type mood as enum ('sad', 'ok'); create type moods as range (subtype = mood)")
    memory_world.sql("create type held as (r moods)")
    memory_world.sql(f"alter table users add m {kind}")
    memory_world.sql(f"insert into users (id, m) values (1, '{value}')")
    with memory_world.engine() as engine:
        assert engine.tick().failures == ()
        memory_world.sql("alter type mood add value 'great'")
        assert (engine.tick().tables[0].full_read is None) == (kind != "held")
        memory_world.sql("alter type mood rename value 'ok' to 'fine'")
        assert "attributes of column m were changed" in (engine.tick().tables[0].full_read or "")
    memory_world.assert_equal()
