"""Surveyed tables for tests, by what is special about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgsnow.model.discovery.survey import ColumnFacts, SurveyedTable
from pgsnow.model.table import Column, SourceName, SourceTable


def column(name: str, type_name: str = "text", *, not_null: bool = False) -> Column:
    category = "A" if type_name.startswith("_") else "S"
    return Column(name, 1, type_name, 0, -1, "b", category, not_null)


ID = replace(column("id", "int8", not_null=True), always_identity=True)
UPDATED = column("updated_at", "timestamptz", not_null=True)


def surveyed(
    *columns: Column,
    name: str = "public.t",
    keys: Sequence[tuple[str, ...]] = (("id",),),
    primary: bool = True,
    relkind: str = "r",
    indexed: Sequence[str] = (),
    sequences: Sequence[tuple[str, int, int]] = (("id", 1, 1),),
    facts: Mapping[str, ColumnFacts] | None = None,
    **more: Any,
) -> SurveyedTable:
    """By default: a table with an identity `id` as its primary key."""
    source = SourceTable(
        name=SourceName.parse(name),
        oid=1,
        relkind=relkind,
        columns=columns or (ID, UPDATED),
        unique_keys=tuple(keys),
        has_primary_key=primary,
        indexed_first=frozenset(indexed),
        sequence_cache=tuple(sequences),
    )
    return SurveyedTable(source, facts or {}, role="reader", **more)
