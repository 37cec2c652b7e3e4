"""INSERT OVERWRITE."""

from __future__ import annotations

import fakesnow.transforms
from sqlglot import exp

ROWS = "_fs_overwriting"


def select_before_emptying() -> None:
    """Stock: deletes the target's rows first, so that a SELECT from the target itself finds it empty. (Other sessions
    never see the empty table, because both steps run in one transaction: transactions.py.)"""
    fakesnow.transforms.insert_overwrite = _statements


def _statements(expression: exp.Expression) -> list[exp.Expression]:
    if not (isinstance(expression, exp.Insert) and expression.args.get("overwrite")):
        return [expression]
    target = expression.this
    table = target.this if isinstance(target, exp.Schema) else target
    rows = exp.to_table(ROWS, quoted=True)
    made = exp.Create(
        this=rows,
        kind="TABLE",
        replace=True,
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
        expression=expression.expression.copy(),
    )
    insert = expression.copy()
    insert.set("overwrite", None)
    insert.set("expression", exp.select("*").from_(rows.copy()))
    return [made, exp.Delete(this=table.copy()), insert]
