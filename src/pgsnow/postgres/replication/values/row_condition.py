"""Is a condition in `where:` one of the row alone? Only then the source can judge rows of the log with it: it is asked
later than the change was made, and is given the row, not the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from psycopg.sql import SQL, Composable, Literal

_PIECES = re.compile(
    r"""(?P<comment> --[^\n]* | /\*.*?\*/ )
      | (?P<string> [eE]?'(?:[^'\\]|''|\\.)*' | (?P<tag>\$\w*\$).*?(?P=tag) )
      | (?P<name> "(?:[^"]|"")+" | [^\W\d][\w$]* )
      | (?P<other> \S )""",
    re.VERBOSE | re.DOTALL,
)
_OF_TIME = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_OF_TABLES = frozenset({"select", "exists"})
_OF_STORAGE = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})
"""Texts that Postgres reads as moments of the present.
https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-SPECIAL-VALUES"""
_OF_SETTINGS = (
    *("date_trunc", "date_part", "extract", "timezone", "to_char", "to_date", "to_timestamp", "to_number"),
    *("concat", "concat_ws", "format", "array_to_string", "to_json", "to_jsonb", "row_to_json", "date"),
    *(
        "json_build_object",
        "jsonb_build_object",
        "json_build_array",
        "jsonb_build_array",
        "timestamptz",
        "timestamp",
    ),
    *("to_tsvector", "to_tsquery", "plainto_tsquery", "websearch_to_tsquery", "text", "isfinite"),
)
"""Functions that are not immutable only because they depend on settings, which we set for every statement."""
_OTHERS = SQL(
    "select distinct proname::text from pg_proc where proname = any ({}::text[]) and provolatile <> 'i'"
    " and not (pronamespace = 'pg_catalog'::regnamespace and proname = any ({}::text[])) order by 1"
)


def why_not_of_row(rows: Callable[[Composable], Sequence[tuple[object, ...]]], condition: str) -> str:
    """The reason why the condition depends on something else than the row's values; '' if it does not. rows: runs a
    query on the source, for how its functions are declared."""
    names, called = set[str](), list[str]()
    before = ""
    for piece in _PIECES.finditer(condition):
        if piece["comment"]:
            continue
        if (text := piece["string"]) and _content(text, piece["tag"]).strip().lower() in _MOMENTS:
            return f"{text} may be read as a moment of the present"
        if piece["other"] == "(" and before:
            called.append(before)
        before = piece["name"] or ""
        if before:
            before = before[1:-1].replace('""', '"') if before.startswith('"') else before.lower()
            names |= {before} if not piece["name"].startswith('"') else set()
    for words, what in (
        (_OF_TIME, "the time"),
        (_OF_TABLES, "a table"),
        (_OF_STORAGE, "how the row is stored"),
    ):
        if found := sorted(words & names):
            return f"{found[0]} depends on {what}"
    if not called:
        return ""
    others = rows(_OTHERS.format(Literal(called), Literal([*_OF_SETTINGS])))
    return f"{others[0][0]}() is not declared IMMUTABLE" if others else ""


def _content(text: str, tag: str | None) -> str:
    """The text between the quotes."""
    return text[len(tag) : -len(tag)] if tag else text[text.index("'") + 1 : -1]
