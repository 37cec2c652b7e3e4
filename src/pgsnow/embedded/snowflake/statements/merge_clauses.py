"""The clauses of a MERGE or UPDATE that can run by replacing whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

INSERT, UPDATE, DELETE = "inserted", "updated", "deleted"
KINDS = (INSERT, UPDATE, DELETE)
"""In the order of the result's columns."""


@dataclass(frozen=True, slots=True)
class Clause:
    """WHEN [NOT] MATCHED [AND condition] THEN …; values: by column name in upper case."""

    kind: str
    condition: Any
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clauses:
    """The clauses of one statement, in their order: the first one that applies to a row counts."""

    all: tuple[Clause, ...]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the clauses. The result has a column for each of them."""
        return [kind for kind in KINDS if self.values_of(kind) is not None]

    def values_of(self, kind: str) -> dict[str, Any] | None:
        return next((clause.values for clause in self.all if clause.kind == kind), None)


def as_merge(statement: exp.Expression) -> exp.Expression:
    """An UPDATE of one table as an equivalent MERGE; any other statement unchanged."""
    given = {name for name, value in statement.args.items() if value}
    if not isinstance(statement, exp.Update) or given - {"this", "expressions", "where"}:
        return statement
    where = statement.args.get("where")
    when = exp.When(
        matched=True,
        condition=where and where.this,
        then=exp.Update(expressions=statement.expressions),
    )
    once = exp.select(exp.alias_(exp.Literal.number(1), "_fs_one", quoted=True)).subquery("_fs_once")
    return exp.Merge(this=statement.this, using=once, on=exp.true(), whens=exp.Whens(expressions=[when]))


def clauses_of(merge: exp.Expression) -> Clauses | None:
    """The clauses of a MERGE; None for any other statement, and for one that cannot run by whole rows."""
    if not isinstance(merge, exp.Merge) or _has_unknowns(merge):
        return None
    target, on = merge.this, merge.args.get("on")
    if not (isinstance(target, exp.Table) and isinstance(target.this, exp.Identifier)) or on is None:
        return None
    found = [_clause(when) for when in merge.args["whens"].expressions]
    clauses = [clause for clause in found if clause is not None]
    kinds = [clause.kind for clause in clauses]
    if len(clauses) < len(found) or kinds.count(INSERT) > 1 or kinds.count(UPDATE) > 1:
        return None
    return Clauses(tuple(clauses))


def _has_unknowns(merge: exp.Merge) -> bool:
    """True if a clause has values that are known only when it runs, or the source has variables. `$1` is a column of a
    staged file; bound values in the source are passed to DuckDB."""
    variables = [each for each in merge.find_all(exp.Parameter) if not isinstance(each.this, exp.Literal)]
    in_source = sum(1 for _ in merge.args["using"].find_all(exp.Placeholder))
    return bool(variables) or in_source < sum(1 for _ in merge.find_all(exp.Placeholder))


def _clause(when: exp.When) -> Clause | None:
    then, condition = when.args["then"], when.args.get("condition")
    if when.args.get("source"):
        return None
    if isinstance(then, exp.Insert) and not when.args["matched"]:
        return _inserting(then, condition)
    if isinstance(then, exp.Update) and when.args["matched"]:
        return _updating(then, condition)
    if isinstance(then, exp.Var) and then.name.upper() == "DELETE" and when.args["matched"]:
        return Clause(DELETE, condition, {})
    return None


def _inserting(then: exp.Insert, condition: Any) -> Clause | None:
    columns, values = then.this, then.expression
    if not (isinstance(columns, exp.Tuple) and isinstance(values, exp.Tuple)):
        return None
    return _naming(INSERT, condition, columns.expressions, values.expressions)


def _updating(then: exp.Update, condition: Any) -> Clause | None:
    sets = then.expressions
    if not sets or not all(isinstance(each, exp.EQ) for each in sets):
        return None
    return _naming(UPDATE, condition, [each.this for each in sets], [each.expression for each in sets])


def _naming(kind: str, condition: Any, columns: Sequence[Any], values: Sequence[Any]) -> Clause | None:
    named = {column.name.upper(): value for column, value in zip(columns, values, strict=False)}
    whole = len(named) == len(columns) == len(values)
    return Clause(kind, condition, named) if whole and "" not in named else None
