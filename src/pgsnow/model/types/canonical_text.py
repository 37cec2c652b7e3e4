"""The canonical text of a value as it is loaded: the text that both sides write alike, and the order of its type.

Postgres's texts are those of a session with the settings of our reads (UTC, ISO dates, hex bytes). Sources: PostgreSQL
docs, "Data Type Formatting Functions"; Snowflake docs, "SQL format models", "TO_CHAR, TO_VARCHAR", "HEX_ENCODE".
"""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.types.mapping import Field


@dataclass(frozen=True, slots=True)
class CanonicalText:
    """How a type's values are written and ordered.

    source, target: SQL templates of the text, with `{c}` for the quoted column of Postgres and of Snowflake.
    binary: values are ordered by the bytes of that text in UTF-8; otherwise by value, in the same way on both sides.
    whole: they are integers.
    source_constant, target_constant: SQL templates of a value of the column's type, with `{text}` for a quoted string
    constant that holds the canonical text.
    """

    source: str
    target: str
    binary: bool = False
    whole: bool = False
    source_constant: str = "{text}"
    target_constant: str = "{text}"


def canonical_text(field: Field) -> CanonicalText | None:
    """The canonical text of a column as it is loaded; None for a VARIANT or a FLOAT, which have no text that both sides
    write alike."""
    family = field.type.snowflake.partition("(")[0]
    known = _BY_FAMILY.get(family)
    if known is None:
        return None
    if family == "VARCHAR":
        return CanonicalText(field.type.text, known.target, binary=True)
    whole = family == "NUMBER" and field.type.carried.startswith("int")
    return CanonicalText(
        known.source if family in ("BINARY", "BOOLEAN") else field.type.text,
        known.target, whole=whole, source_constant=known.source_constant, target_constant=known.target_constant,
    )  # fmt: skip


_MICROSECONDS = "RTRIM(RTRIM(TO_VARCHAR({c}, '%s.FF6'), '0'), '.')"
_BY_FAMILY = {
    "NUMBER": CanonicalText("{c}::text", "TO_VARCHAR({c})", target_constant="{text}::NUMBER(38,0)"),
    "BOOLEAN": CanonicalText("{c}::text", "TO_VARCHAR({c})", target_constant="{text}::BOOLEAN"),
    "VARCHAR": CanonicalText("{c}::text", "{c}", binary=True),
    "BINARY": CanonicalText(
        "encode({c}, 'hex')", "HEX_ENCODE({c}, 0)",
        source_constant="decode({text}, 'hex')", target_constant="TO_BINARY({text}, 'HEX')",
    ),
    "DATE": CanonicalText("{c}::text", "TO_VARCHAR({c}, 'YYYY-MM-DD')", target_constant="{text}::DATE"),
    "TIME": CanonicalText(
        "{c}::text", _MICROSECONDS % "HH24:MI:SS", target_constant="{text}::TIME(6)"
    ),
    "TIMESTAMP_NTZ": CanonicalText(
        "{c}::text", _MICROSECONDS % "YYYY-MM-DD HH24:MI:SS", target_constant="{text}::TIMESTAMP_NTZ(6)"
    ),
    "TIMESTAMP_TZ": CanonicalText(
        "{c}::text",
        _MICROSECONDS.replace("{c}", "CONVERT_TIMEZONE('UTC', {c})") % "YYYY-MM-DD HH24:MI:SS" + " || '+00'",
        target_constant="{text}::TIMESTAMP_TZ(6)",
    ),
}  # fmt: skip
