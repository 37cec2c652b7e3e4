"""Generator of docs/types.md from the type map: `python -m pgsnow.model.types.type_page > docs/types.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pyarrow as pa

from pgsnow.model.table import Column
from pgsnow.model.types.key_forms import CANONICAL
from pgsnow.model.types.mapping import TypeMapping, without_overflow
from pgsnow.model.types.named_types import BY_NAME, FAMILIES
from pgsnow.model.types.type_rules import (
    array,
    composite,
    enum,
    mapping_of,
    numeric,
    unbounded_numeric,
    unknown,
)

_INTRODUCTION = """# Types

How each Postgres type is read, which type it has in Arrow and Parquet and in Snowflake, which values arrive exactly and
which do not. This page is generated from the type map: `python -m pgsnow.model.types.type_page > docs/types.md`.

"Overflows" means that Snowflake's type cannot hold the value. No value is changed silently: what happens to it is set
by the column's [`on_overflow`](configuration.md#values-that-snowflakes-type-cannot-hold); by default its row is
rejected.
The last column lists the other choices of `on_overflow` for a type. Text of any type overflows if it is longer than
16 MiB; `null` and `clamp` can be chosen for it too.

A domain is mapped like its base type. In *read*, `c` is the column. Sessions are set to UTC, ISO dates, hex bytes and
the shortest exact form of floats, so the text of a value does not depend on the role that reads it.
"""
_OF_KEYS = """## Keys

Postgres calls some values equal whose texts differ: `Ann` and `ann` in citext, 1.0 and 1.000. Snowflake would hold two
rows of them. So a column of the key is read in one form of all equal values, also if its type is a domain over such a
type. (char(n) and numeric(p,s) have one text for each value anyway; `bpchar` and `numeric` below are those without a
length. With `mode: append`, which merges nothing, keys stay as they are.)

Types without such a form are refused as a key, by `discover`, `check` and the run: text with a nondeterministic
collation, JSON, arrays, composites, tsquery, ranges of other types, geometries, and types that Postgres compares
loosely, such as point, cube or semver.
"""
_MONEY_ARRAY = Column("c", 1, "_money", 791, -1, "b", "A", not_null=False, element="money")
_SHORT_NUMBER = "numeric(p,s), p ≤ 18"
_EXACT_NUMBER = "numeric(p,s), p ≤ 38 and 0 ≤ s < 38"


def page() -> str:
    """The whole page in Markdown."""
    sections = [_section(title, family) for title, family in FAMILIES]
    return "\n".join([_INTRODUCTION, _section("By form", _forms()), *sections, _keys()])


def _keys() -> str:
    """How columns of a key are read, where that differs."""
    rows = "\n".join(
        f"| `{name}` | `{read.format(c='c')}` | {form} |" for name, (read, form) in CANONICAL.items()
    )
    return f"{_OF_KEYS}\n| Postgres | read | form |\n|---|---|---|\n{rows}\n"


def _forms() -> Iterator[TypeMapping]:
    """Types that are mapped by their form."""
    yield replace(numeric(18, 2), postgres=_SHORT_NUMBER)
    yield replace(numeric(38, 2), postgres=_EXACT_NUMBER)
    yield replace(numeric(50, 10), postgres="numeric(p,s), others")
    yield unbounded_numeric()
    yield array("arrays of any type")
    yield replace(
        mapping_of(_MONEY_ARRAY), postgres="`money[]`", note="As other arrays, its amounts as JSON numbers."
    )
    yield composite("composites")
    yield enum("enums")
    yield unknown("any other type")


def _section(title: str, family: Iterable[TypeMapping]) -> str:
    rows = "\n".join(map(_row, family))
    return (
        f"## {title}\n\n| Postgres | read | Arrow | Snowflake | what is exact | `on_overflow` |\n"
        f"|---|---|---|---|---|---|\n{rows}\n"
    )


def _row(mapping: TypeMapping) -> str:
    read = mapping.read.format(c="c")
    made = f", `{mapping.merge.format(c='c')}`" if mapping.merge != "{c}" else ""
    arrow, snowflake = str(mapping.arrow), mapping.snowflake
    if mapping.postgres in (_SHORT_NUMBER, _EXACT_NUMBER):
        arrow, snowflake = "decimal128(p, s)", "NUMBER(p,s)"
    cells = [
        mapping.postgres if mapping.postgres not in BY_NAME else f"`{mapping.postgres}`",
        f"`{read}`",
        f"`{arrow}`",
        f"`{snowflake}`{made}",
        mapping.note,
        _choices(mapping),
    ]
    return f"| {' | '.join(cells)} |"


def _choices(mapping: TypeMapping) -> str:
    """The choices besides `reject`, for types that can overflow not only by the length of their text."""
    if "overflow" not in mapping.note.lower():
        return ""
    if without_overflow(mapping) != mapping:
        clamps = pa.types.is_temporal(mapping.arrow)
        return "null, text, clamp" if clamps else "null, text"
    return "null, clamp"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
