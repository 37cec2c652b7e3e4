"""A label of an enum is renamed that values contain as a part.

Group: values
Danger: `alter type mood rename value 'ok' to 'fine'` changes what every row shows, without writing any. A column whose
type is a range of moods is still loaded as it was.
Answer: labels are followed into arrays, domains, composite types, ranges and multiranges. A renamed one is a reason to
read the table again.
"""

from __future__ import annotations

from tests.world import MemoryWorld

VALUES = {
    "moods": "[sad,ok]",
    "moods[]": '{"[sad,ok]"}',
    "moods_multirange": "{[sad,ok]}",
    "held": '("[sad,ok]")',
}


def test_what_contains_it_is_read_again(memory_world: MemoryWorld) -> None:
    """A renamed label is a reason to read everything. An added one is none, except inside a composite type."""
    memory_world.sql("create type mood as enum ('sad', 'ok'); create type moods as range (subtype = mood)")
    memory_world.sql("create type held as (r moods)")
    names = []
    for number, (kind, value) in enumerate(VALUES.items()):
        name = f"public.t{number}"
        memory_world.sql(
            f"create table {name} (id int primary key, m {kind}); insert into {name} values (1, '{value}')"
        )
        names.append({"source": name, "target": f"analytics.t{number}", "mode": "xmin"})
    memory_world.tables = names
    with memory_world.engine() as engine:
        assert engine.tick().failures == ()
        memory_world.sql("alter type mood add value 'great'")
        assert [bool(report.full_read) for report in engine.tick().tables] == [False, False, False, True]
        memory_world.sql("alter type mood rename value 'ok' to 'fine'")
        for report in engine.tick().tables:
            assert "attributes of column m were changed" in (report.full_read or "")
    memory_world.assert_equal()
