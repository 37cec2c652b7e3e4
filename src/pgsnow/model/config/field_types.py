"""Types of configuration values, one for each kind. They reject wrong values with a message that says how to fix them.

They are strict: a number is not accepted as text, nor quoted text as a number, because YAML converts values silently
(`no` is false, `007` is seven). Only text from `${VAR}` is converted to a number or a boolean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from pgsnow.model.config.interpolation import Expanded
from pgsnow.model.duration import format_duration, parse_duration
from pgsnow.model.table import SourceName, TargetName

_IDENTIFIER_LIMIT = 63
"""Bytes of a Postgres identifier (PostgreSQL docs, "Identifiers and Key Words")."""
_LONGEST = 255
_ONE_NAME_OR_MORE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def display(value: object) -> str:
    """A value as messages show it: shortened, and as `${VAR}` where it came from the environment."""
    if isinstance(value, Expanded):
        return repr(value.written)
    if isinstance(value, bool):
        return f"{str(value).lower()} (in YAML, a bare yes, no, on or off is a boolean)"
    if value is None:
        return "nothing"
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def text(value: object) -> str:
    """Non-empty text."""
    if not isinstance(value, str):
        raise ValueError(f"{display(value)} is not text — quote the value")
    if not value.strip():
        raise ValueError("is empty — write a value or leave the key out")
    if "\0" in value:
        raise ValueError("contains a NUL character — remove it")
    return str(value)


def name(value: object) -> str:
    """One line of printable text, unchanged; at most 255 characters."""
    found = text(value)
    if found != found.strip() or not found.isprintable():
        raise ValueError(
            f"{display(value)} has leading or trailing blanks, or unprintable characters — remove them"
        )
    if len(found) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters — shorten it")
    return found


def identifier(value: object) -> str:
    """A Postgres identifier without quotes, its case kept."""
    found = name(value)
    if len(found.encode("utf-8", "surrogatepass")) > _IDENTIFIER_LIMIT:
        raise ValueError(f"is longer than {_IDENTIFIER_LIMIT} bytes — Postgres names are shorter")
    return found


def slot_name(value: object) -> str:
    """The name of a replication slot: lower-case letters, digits and underscores, at most 63."""
    found = identifier(value)
    if not re.fullmatch(r"[a-z0-9_]+", found):
        raise ValueError(
            f"{display(value)} is not a slot's name — write lower-case letters, digits and underscores only"
        )
    return found


def column(value: object) -> str:
    """The name of a column, or of a table or schema, without quotes: any that Postgres allows, so blanks too. At most
    63 characters, since its bytes depend on the database's encoding."""
    if isinstance(value, str) and value and not value.strip() and len(value) <= _IDENTIFIER_LIMIT:
        return str(value)
    found = text(value)
    if len(found) > _IDENTIFIER_LIMIT:
        raise ValueError(f"is longer than {_IDENTIFIER_LIMIT} characters — Postgres names are shorter")
    return found


def names(value: object) -> tuple[str, ...]:
    """A column name, or a list of distinct ones."""
    if isinstance(value, str):
        return (column(value),)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{display(value)} is not a column name or a list of them — write `id` or `[a, b]`")
    found = tuple(column(item) for item in value)
    repeated = sorted({item for item in found if found.count(item) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is named twice — name it once")
    return found


def key_names(value: object) -> tuple[str, ...]:
    """One or more column names."""
    found = names(value)
    if not found:
        raise ValueError("is empty — name the columns that identify a row")
    return found


def source_name(value: object) -> SourceName:
    """A source table: `schema.table`, with quotes where needed."""
    if isinstance(value, SourceName):
        return value
    try:
        found = SourceName.parse(name(value))
        for part in (found.schema, found.table):
            column(part)
    except ValueError as error:
        raise ValueError(
            _table_advice(value, error, 'schema.table, such as public.users or public."Users"')
        ) from None
    return found


def target_name(value: object) -> str:
    """A target table: `table`, `schema.table` or `database.schema.table`; kept as written."""
    try:
        TargetName.parse(name(value))
    except ValueError as error:
        raise ValueError(
            _table_advice(
                value, error, "table, schema.table or database.schema.table, such as analytics.users"
            )
        ) from None
    return str(value)


def _table_advice(value: object, error: ValueError, form: str) -> str:
    if " — " in str(error):
        return str(error)
    return f"{display(value)} is not a table's name — write {form}"


def switch(value: object) -> bool:
    """true or false."""
    if isinstance(value, Expanded) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError(f"{display(value)} is not true or false — write true or false")
    return value


def _number(value: object, what: str, least: float, above: bool) -> float:
    """A finite number, not a boolean. what: its name in messages. above: `least` itself is rejected."""
    if isinstance(value, Expanded):
        value = _number_of(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{display(value)} is not a {what} — write a {what}, without quotes")
    if value < least or (above and value == least):
        bound = "more than" if above else "at least"
        raise ValueError(f"{display(value)} is too small — write {bound} {least:g}")
    return value


def _number_of(value: Expanded) -> object:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def whole(least: int) -> Callable[[object], int]:
    """A validator for whole numbers of at least `least`."""

    def check(value: object) -> int:
        found = _number(value, "whole number", least, above=False)
        if not isinstance(found, int):
            raise ValueError(f"{display(value)} is not a whole number — leave the fraction out")
        return found

    return check


def positive(value: object) -> float:
    """A number greater than zero."""
    return float(_number(value, "number", 0, above=True))


def share(value: object) -> float:
    """A part of a whole, above 0 and at most 1, from a number or from text such as `20%`."""
    found = str(value).strip()
    try:
        part = float(found[:-1]) / 100 if found.endswith("%") else float(found)
    except ValueError:
        part = math.nan
    if isinstance(value, bool) or not 0 < part <= 1:
        raise ValueError(
            f"{display(value)} is not a share — write a percentage above 0% and up to 100%, such as 20%"
        )
    return part


def duration(value: object) -> float:
    """Seconds, from a number of seconds or text such as `10m`."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(
            f"{display(value)}: {error} — write seconds, or text such as 30s, 10m, 1h30m, 2d"
        ) from None


_SIZES = {"mb": 20, "gb": 30, "tb": 40}


def size(value: object) -> int:
    """Bytes, from a number of megabytes or text such as `8GB`; at least a megabyte."""
    found = str(value).strip().lower()
    unit = found[-2:] if found[-2:] in _SIZES else "mb"
    try:
        number = float(found.removesuffix(unit))
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not 1 <= number * (1 << (_SIZES[unit] - 20)) < math.inf:
        raise ValueError(
            f"{display(value)} is not a size — write megabytes, or text such as 500MB, 8GB or 1TB, at least 1MB"
        )
    return round(number * (1 << _SIZES[unit]))


def folder(value: object) -> str:
    """The absolute path of a folder, without characters that Snowflake's PUT takes for a pattern."""
    if not isinstance(value, str) or not value.startswith("/") or set(value) & set("*?[\0\n"):
        raise ValueError(
            f"{display(value)} is not the absolute path of a folder — write one such as /var/lib/pgsnow/changes,"
            " without *, ? and ["
        )
    return value


def _size_text(found: int) -> str:
    """The size as it may be written."""
    return f"{found / (1 << 20):.15g}MB"


def texts_by_name(value: object) -> dict[str, str]:
    """Column name → text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{display(value)} is not a mapping — write `{{column: value}}`")
    return {column(key): name(item) for key, item in value.items()}


Text = Annotated[str, BeforeValidator(text)]
Name = Annotated[str, BeforeValidator(name)]
Identifier = Annotated[str, BeforeValidator(identifier)]
ColumnName = Annotated[str, BeforeValidator(column)]
Names = Annotated[tuple[str, ...], BeforeValidator(names), WithJsonSchema(_ONE_NAME_OR_MORE)]
KeyNames = Annotated[tuple[str, ...], BeforeValidator(key_names), WithJsonSchema(_ONE_NAME_OR_MORE)]
NameOfSource = Annotated[
    SourceName, BeforeValidator(source_name), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
NameOfTarget = Annotated[str, BeforeValidator(target_name)]
Switch = Annotated[bool, BeforeValidator(switch)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(positive)]
FromZero = Annotated[int, Field(ge=0), BeforeValidator(whole(0))]
FromOne = Annotated[int, Field(ge=1), BeforeValidator(whole(1))]
Duration = Annotated[
    float,
    BeforeValidator(duration),
    PlainSerializer(lambda seconds: _exact(seconds)),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
Share = Annotated[
    float,
    BeforeValidator(share),
    PlainSerializer(lambda part: f"{part * 100:.10g}%"),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "string"}]}),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    PlainSerializer(lambda found: _size_text(found)),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1}, {"type": "string"}]}),
]
TextsByName = Annotated[dict[str, str], BeforeValidator(texts_by_name)]


def _exact(seconds: float) -> str | float:
    written = format_duration(seconds)
    return written if parse_duration(written) == seconds else seconds
