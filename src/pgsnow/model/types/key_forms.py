"""The form in which a column of a key is loaded, so that keys that Postgres calls equal are one value in Snowflake."""

from __future__ import annotations

from dataclasses import replace

from pgsnow.model.table import Column
from pgsnow.model.types.mapping import TypeMapping
from pgsnow.model.types.named_types import BY_NAME
from pgsnow.model.types.type_rules import mapping_of

_LOSSY = frozenset({"geometry", "geography"})
"""Postgres types whose distinct values may become equal: a MERGE by them could make one row of several."""
_COARSE = frozenset(
    {
        *("tsquery", "xml", "jsonpath", "cube", "seg", "semver", "sparsevec"),
        *("point", "line", "lseg", "box", "path", "polygon", "circle"),
    }
)
"""Types that Postgres compares by other rules than their text (without weights, build metadata or the last digits of a
double), or not at all, and that have no canonical text."""
_ZEROS = (
    "regexp_replace(regexp_replace({c}::text, E'(\\\\.[0-9]*[1-9])0+(?![0-9])', E'\\\\1', 'g'),"
    " E'\\\\.0+(?![0-9])', '', 'g')"
)
CANONICAL = {
    "citext": ('lower({c}::text collate pg_catalog."default")', "lower case"),
    "numeric": (_ZEROS, "without trailing zeros"),
    "numrange": (_ZEROS, "without trailing zeros"),
    "nummultirange": (_ZEROS, "without trailing zeros"),
    "interval": ("justify_interval({c})::text", "justified: 24 hours are a day, 30 days a month"),
    "bpchar": ("{c}::text", "without padding"),
    "float4": ("({c} + 0::float4)::text::float8", "shortest decimal, zero without a sign"),
    "float8": ("{c} + 0::float8", "zero without a sign"),
}
"""Types that call values equal whose texts differ → how a key of the type is read instead, so that equal keys are the
same value in Snowflake, and the name of that form. Each form equals the value that it stands for, also in Postgres.

https://www.postgresql.org/docs/current/citext.html, functions-datetime.html (justify_interval)"""


def why_no_key(column: Column) -> str:
    """The reason why a column of this type cannot belong to any key; '' if it can."""
    if mapping_of(column).snowflake == "VARIANT":
        return f"{column.name} has a type that Snowflake does not compare exactly"
    if column.type_name in _LOSSY:
        return f"{column.name} has a type whose distinct values may become equal"
    if column.nondeterministic:
        return f"{column.name}: Postgres compares it by a collation that calls different texts equal"
    if column.type_name in _COARSE and column.kind == "b":
        return f"{column.name}: Postgres does not compare {column.type_name} by its text"
    if column.kind in ("r", "m") and column.type_name not in BY_NAME:
        return f"{column.name} is a range of a type whose equality pgsnow does not know"
    return ""


def is_comparable(column: Column) -> bool:
    """False for a type of an unknown extension, of which only its text is known, not what it calls equal."""
    known = BY_NAME.get(column.type_name)
    return column.kind != "b" or column.type_name == "numeric" or (known is not None and known.kind == "b")


def key_form(column: Column) -> str:
    """The name of the canonical form in which a key column of this type is loaded, such as `lower case`; '' if it is
    loaded as it is."""
    canonical = CANONICAL.get(column.type_name)
    known = BY_NAME.get(column.type_name)
    kind = known.kind if known is not None else "b"
    if canonical is None or column.kind != kind or _has_one_text(column):
        return ""
    return canonical[1]


def canonical(mapping: TypeMapping, column: Column) -> TypeMapping:
    """The mapping of a key column: equal keys are read as the same value."""
    if not (form := key_form(column)):
        return mapping
    read, _ = CANONICAL[column.type_name]
    if mapping.carried == "float":  # with real_values: exact
        read, form = "{c} + 0::float4", "zero without a sign"
    return replace(mapping, read=read, own_text="", conversion=form)


def _has_one_text(column: Column) -> bool:
    """True for char(n), which is always padded, and numeric(p,s), which always has s decimals."""
    return column.type_name in ("bpchar", "numeric") and column.typmod >= 4
