"""Whatever happens to the columns of a source, and wherever a run is cut: every column's values end in their place."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given, settings

from pgsnow.model.evolution.source_definition import SourceDefinition
from pgsnow.model.table import Column
from tests.examples import examples
from tests.unit.model.evolving import TYPES, Cut, Evolution, column, table

NAMES = ["a", "b", "c", "A", "a__varchar"]
steps = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES), st.sampled_from(sorted(TYPES))),
    st.tuples(st.just("drop"), st.integers(0, 4), st.none()),
    st.tuples(st.just("rename"), st.integers(0, 4), st.sampled_from(NAMES)),
    st.tuples(st.just("swap"), st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.just("type"), st.integers(0, 4), st.sampled_from(sorted(TYPES))),
)
rounds = st.lists(
    st.tuples(st.lists(steps, min_size=1, max_size=5), st.lists(st.integers(0, 5), max_size=3)),
    min_size=1,
    max_size=5,
)  # fmt: skip


@settings(max_examples=examples(30), deadline=None)
@given(rounds, st.sampled_from(["keep", "drop"]))
def test_values_end_in_their_columns_wherever_runs_are_cut(
    rounds: list[tuple[list[tuple[str, object, object]], list[int]]], on_drop: str
) -> None:
    world = Evolution(table(column(3, "a"), column(4, "b", "text")), {"on_drop": on_drop})
    world.row = {1: 0, 2: 0, 3: 0, 4: 0}
    world.sync()
    altered: set[int] = set()
    for changes, cuts in rounds:
        for change in changes:
            altered |= _alter(world, *change)
        for cut in cuts:
            try:
                world.sync(cut_after=cut)
            except Cut:
                world.known = _through_the_ledger(world.known)
        world.sync()
        world.check()
        world.check_gone(altered)


def _through_the_ledger(known: SourceDefinition | None) -> SourceDefinition | None:
    return SourceDefinition.from_json(known.to_json()) if known else None


def _alter(world: Evolution, kind: str, first: object, second: object) -> set[int]:
    """Numbers of the columns whose type is altered."""
    columns = world.others
    if kind == "add":
        assert isinstance(first, str)
        if _is_free(columns, first):
            world.change(*columns, column(next(world.numbers), first, str(second)))
        return set()
    assert isinstance(first, int)
    if first >= len(columns):
        return set()
    one = columns[first]
    if kind == "drop":
        columns.pop(first)
    elif kind == "rename" and _is_free([c for c in columns if c is not one], str(second)):
        columns[first] = replace(one, name=str(second))
    elif kind == "swap" and isinstance(second, int) and second < len(columns):
        other = columns[second]
        columns[first], columns[second] = replace(one, name=other.name), replace(other, name=one.name)
    elif kind == "type":
        columns[first] = column(one.attnum, one.name, str(second))
        if one.attnum in world.row:
            world.row[one.attnum] += 1
        world.change(*columns, filenode=world.source.filenode + "x")
        return {one.attnum}
    world.change(*columns)
    return set()


def _is_free(columns: list[Column], name: str) -> bool:
    return name.upper() not in {c.name.upper() for c in columns}
