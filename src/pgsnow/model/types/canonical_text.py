"""The canonical text of a value as it is loaded: the text that both sides write alike, and the order of its type.

Postgres's texts are those of a session with the settings of our reads (UTC, ISO dates). Sources: PostgreSQL docs, "Data
Type Formatting Functions"; Snowflake docs, "SQL format models", "TO_CHAR, TO_VARCHAR", "HEX_ENCODE".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgsnow.model.types.mapping import Field

LONGEST_BOUND = 2_700
"""Characters of a key that may serve as the bound of a range. A longer one is left out, because a statement holds
hundreds of bounds. (A btree index holds keys of at most 2,704 bytes.)"""


@dataclass(frozen=True, slots=True)
class CanonicalText:
    """How values of a column are written and ordered.

    source, target: SQL templates of the text, with `{c}` for the quoted column of Postgres and of Snowflake.
    binary: values are ordered by the bytes of that text in UTF-8; otherwise by value, in the same way on both sides.
    whole: they are integers of at most 64 bits.
    source_constant, target_constant: SQL templates of a value of the column's type, with `{text}` for a quoted string
    constant that holds the canonical text.
    bounds: a pattern of the texts that both sides can read as a value, and that may therefore be a bound of a range.
    """

    source: str
    target: str
    binary: bool = False
    whole: bool = False
    source_constant: str = "{text}"
    target_constant: str = "{text}"
    bounds: str = r"[^\0\ud800-\udfff]*"

    def may_bound(self, text: str) -> bool:
        """True if a value with this text may be a bound of a range."""
        return len(text) <= LONGEST_BOUND and re.fullmatch(self.bounds, text, re.DOTALL) is not None


def canonical_text(field: Field) -> CanonicalText | None:
    """The canonical text of a column as it is loaded; None for a VARIANT or a FLOAT, of which the two sides write
    different texts."""
    kind = field.type.snowflake
    family = kind.partition("(")[0]
    target, bounds = _TARGETS.get(family, ("", ""))
    if not target:
        return None
    constant = f"{{text}}::{kind}"
    if family == "VARCHAR":
        is_uuid = field.type.postgres == "uuid"
        bounds = _UUID if is_uuid else bounds
        return CanonicalText(field.type.text, target, binary=True, bounds=bounds)
    if family == "BINARY":
        return CanonicalText(
            "encode({c}, 'hex')",
            target,
            False,
            False,
            "decode({text}, 'hex')",
            "TO_BINARY({text}, 'HEX')",
            bounds,
        )
    if family == "TIMESTAMP_TZ":
        constant = (
            f"({{text}} || ':00')::{kind}"  # +00 is an offset in hours; Snowflake is given minutes, too
        )
    whole = family == "NUMBER" and field.type.carried.startswith("int")
    return CanonicalText(field.type.text, target, False, whole, "{text}", constant, bounds)


_SECONDS = r"\d\d:[0-5]\d:\d\d(\.\d{1,6})?"
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TRIMMED = "RTRIM(RTRIM(TO_VARCHAR({c}, '%s.FF6'), '0'), '.')"
_TARGETS = {
    "NUMBER": ("TO_VARCHAR({c})", r"-?\d+(\.\d+)?"),
    "BOOLEAN": ("TO_VARCHAR({c})", r"true|false"),
    "VARCHAR": ("{c}", r"[^\0\ud800-\udfff]*"),
    "BINARY": ("HEX_ENCODE({c}, 0)", r"([0-9a-f]{2})*"),
    "DATE": ("TO_VARCHAR({c}, 'YYYY-MM-DD')", r"\d{4}-\d\d-\d\d"),
    "TIME": (_TRIMMED % "HH24:MI:SS", rf"(?!24){_SECONDS}"),
    "TIMESTAMP_NTZ": (_TRIMMED % "YYYY-MM-DD HH24:MI:SS", rf"\d{{4}}-\d\d-\d\d {_SECONDS}"),
    "TIMESTAMP_TZ": (
        _TRIMMED.replace("{c}", "CONVERT_TIMEZONE('UTC', {c})") % "YYYY-MM-DD HH24:MI:SS" + " || '+00'",
        rf"\d{{4}}-\d\d-\d\d {_SECONDS}\+00",
    ),
}
"""Family of Snowflake types → the template of the canonical text, and the pattern of texts that may be bounds."""
