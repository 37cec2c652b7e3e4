"""The configuration of a table's transform."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema, model_validator

from pgsnow.model.config.field_types import FromZero, Names, TextsByName, column, display, names, text

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*|\.[^\W\d]\w*)\Z")


def _reference(value: object) -> str:
    found = text(value)
    if not _REFERENCE.match(found):
        raise ValueError(f"{display(value)} does not name a function — write package.module:function")
    return found


def _salt(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("is not text or is empty — write `salt: ${PGSNOW_HASH_SALT}` and set that variable")
    return SecretStr(str(value))


class MaskRule(BaseModel):
    """How much of a text stays readable. With 0 and 0 all of it is hidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_first: FromZero = 0
    """Characters at the start that stay readable."""
    keep_last: FromZero = 0
    """Characters at the end that stay readable."""


def _rule(value: object) -> object:
    if isinstance(value, str) and str(value) == "all":
        return {}
    if isinstance(value, (Mapping, MaskRule)):
        return value
    raise ValueError(f"{display(value)} is not a mask — write all, {{keep_first: 2}} or {{keep_last: 4}}")


def _masks(value: object) -> object:
    """`[a, b]` hides both columns completely; a mapping gives each column its rule."""
    if isinstance(value, (str, list, tuple)):
        return {name: {} for name in names(value)}
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{display(value)} is not a mapping — write {{column: all}} or {{column: {{keep_last: 4}}}}"
        )
    return {column(key): rule for key, rule in value.items()}


_RULE_FORMS = {
    "anyOf": [
        {"const": "all"},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "keep_first": {"type": "integer", "minimum": 0},
                "keep_last": {"type": "integer", "minimum": 0},
            },
        },
    ]
}
_MASK_FORMS = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": _RULE_FORMS},
    ]
}
Rule = Annotated[MaskRule, BeforeValidator(_rule)]
Masks = Annotated[dict[str, Rule], BeforeValidator(_masks), WithJsonSchema(_MASK_FORMS)]


class TransformConfig(BaseModel):
    """`function` runs first; set_null, hash, mask, cast and rename are then applied to its result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: Annotated[str, BeforeValidator(_reference)] | None = None
    """Function to call with each row, or with each batch: package.module:function."""
    adds: TextsByName = Field(default_factory=dict)
    """Columns that the function adds: name → type."""
    set_null: Names = ()
    """Columns loaded as NULL."""
    hash: Names = ()
    """Columns loaded as the HMAC-SHA256 of their text, in hexadecimal."""
    salt: Annotated[SecretStr, BeforeValidator(_salt)] | None = Field(default=None, repr=False)
    """The secret key of `hash`."""
    mask: Masks = Field(default_factory=dict)
    """Columns to mask: name → all, or how much stays readable."""
    cast: TextsByName = Field(default_factory=dict)
    """Column → the type it is loaded as."""
    rename: TextsByName = Field(default_factory=dict)
    """Column → name in Snowflake."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        return {"function": data} if isinstance(data, str) else data

    @property
    def sensitive(self) -> frozenset[str]:
        """Source columns whose original values must not leave Postgres."""
        return frozenset({*self.set_null, *self.hash, *self.mask})
