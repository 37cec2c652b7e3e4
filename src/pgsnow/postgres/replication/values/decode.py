"""Changes in the log as columns of the plan's fields, in the types in which COPY delivers them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from pgsnow.model.errors import ChangesMalformed, KeyNotLogged, RelationChanged
from pgsnow.model.log.relation import LogColumn, LogRelation
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.connection import Source
from pgsnow.postgres.replication.values.source_values import SourceValues
from pgsnow.postgres.replication.values.text_columns import Parse, parser_of

FULL = "f"
"""pg_class.relreplident of REPLICA IDENTITY FULL: old rows are whole."""


class ChangeDecoder:
    """Decodes the values of one table's changes."""

    def __init__(self, plan: TablePlan, source: Source) -> None:
        self._plan = plan
        self._table = str(plan.source.name)
        self._values = SourceValues(source, plan)
        self._columns = {column.name: column for column in plan.source.columns}
        self._checked: set[LogRelation] = set()

    @cached_property
    def key(self) -> tuple[Field, ...]:
        """The key's fields in the order of `pk`, as they are read."""
        by_source = {field.source: field for field in self._plan.fields}
        return tuple(by_source[name] for name in self._plan.pk)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The columns whose values are needed: those of the fields, and those that `where` and generated columns may
        refer to."""
        loaded = frozenset(field.source for field in self._plan.fields)
        return loaded | self.inputs

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Columns that `where:` may refer to, by its text; all, if one that is needed is generated from others."""
        text = (self._plan.config.where or "").lower()
        named = frozenset(name for name in self._columns if name.lower() in text)
        needed = named.union(field.source for field in self._plan.fields)
        return frozenset(self._columns) if any(self._columns[name].generation for name in needed) else named

    def evaluates(self, logged: Collection[str]) -> bool:
        """True if the source must be asked about rows with these columns: whether they meet `where`, or for generated
        columns."""
        return self._plan.config.where is not None or any(f.source not in logged for f in self._plan.fields)

    def evaluated(self, texts: Mapping[str, pa.Array]) -> tuple[pa.Array, dict[str, pa.Array]]:
        """For rows with these columns: which of them meet `where` (booleans), and the other fields, which are
        generated. Raises RelationChanged, SourceUnavailable."""
        computed = [field for field in self._plan.fields if field.source not in texts]
        inputs = {name: column for name, column in texts.items() if name in self.inputs}
        generated = [name for name in self.inputs if self._columns[name].generation and name not in texts]
        met, columns = self._values.evaluated(inputs or texts, self._plan.config.where, generated, computed)
        return met, dict(zip(names_of(computed), columns, strict=True))

    @cached_property
    def _parsers(self) -> dict[str, Parse | None]:
        """By column; None: the source converts it."""
        fields = {field.source: field for field in self._plan.fields}
        certain = {name: parser_of(f, self._columns[name], has_own_cast=True) for name, f in fields.items()}
        unknown = [
            name for name, parse in certain.items() if parse is None and fields[name].type.read == "{c}::text"
        ]
        own = self._values.own_casts([self._columns[name].type_oid for name in unknown])
        return certain | {
            name: parser_of(
                fields[name], self._columns[name], has_own_cast=self._columns[name].type_oid in own
            )
            for name in unknown
        }

    def check(self, relation: LogRelation) -> None:
        """Raises RelationChanged if rows of this definition are not those of the plan's table, KeyNotLogged if deleted
        rows lack the key."""
        if relation in self._checked:
            return
        logged = {column.name: column for column in relation.columns}
        for name in self.wanted:
            if name not in logged and self._columns[name].generation is None:
                raise RelationChanged(f"{self._table}: the log has no column {name}")
        for name in logged:
            if name not in self._columns:
                raise RelationChanged(f"{self._table}: column {name} in the log is new")
        self._check_types(logged.values())
        lacking = [name for name in self._plan.pk if name not in logged or not logged[name].key]
        if lacking:
            raise KeyNotLogged(
                f"{self._table}: deleted rows in the log lack {', '.join(lacking)}, which the replica identity does not"
                " contain"
            )
        self._checked.add(relation)

    def _check_types(self, logged: Collection[LogColumn]) -> None:
        """Each column's type in the log is the plan's, or a domain over it."""
        found = {column.name: (column.type_oid, column.type_modifier) for column in logged}
        wanted = {name: (self._columns[name].type_oid, self._columns[name].typmod) for name in found}
        if others := [name for name in found if found[name] != wanted[name]]:
            bases = self._values.bases([found[name] for name in others])
            for name in others:
                if bases.get(found[name]) != wanted[name]:
                    raise RelationChanged(f"{self._table}: column {name} has another type in the log")

    def decoded(self, field: Field, texts: pa.Array) -> pa.Array:
        """The column that COPY would deliver for this field. Raises ChangesMalformed, RelationChanged,
        SourceUnavailable."""
        parse = self._parsers[field.source]
        if parse is None:
            return self._values.converted(field, self._columns[field.source], texts)
        try:
            return parse(texts)
        except pa.ArrowInvalid as error:
            raise ChangesMalformed(
                f"{self._table}: column {field.source}: a value in the log is not {field.type.postgres}: {error}"
            ) from error

    def key_plan(self) -> TablePlan:
        """The plan with the fields of the key alone."""
        return replace(self._plan, fields=self.key)


def names_of(fields: Sequence[Field]) -> list[str]:
    """The fields' names in the source."""
    return [field.source for field in fields]
