"""Collection of everything that is wrong with a configuration, each problem with file, line, key path and fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from pgsnow.model.config.interpolation import Path
from pgsnow.model.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
_SYNONYMS = {
    "primary_key": "pk",
    "key": "pk",
    "keys": "pk",
    "id": "pk",
    "watermark": "watermark_column",
    "cursor": "watermark_column",
    "updated_at": "watermark_column",
    "from": "source",
    "table": "source",
    "to": "target",
    "destination": "target",
    "filter": "where",
    "disabled": "enabled",
    "schedule": "sync_interval_seconds",
    "interval": "sync_interval_seconds",
}


def display_path(path: Path) -> str:
    """A key path as messages show it: `tables[1].pk`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass(frozen=True, slots=True)
class Problems:
    """Collects problems. Only the first one at each key path is kept, because later ones tend to follow from it.

    file and lines (key path → line, from 1) serve the messages.
    """

    file: str
    lines: Mapping[Path, int]
    _found: dict[Path, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def paths(self) -> list[Path]:
        return list(self._found)

    def add(self, path: Path, message: str) -> None:
        """Adds a problem. `message` has the form: what is wrong — how to fix it."""
        self._found.setdefault(path, message)

    def validate(self, kind: type[Model], data: object, path: Path) -> Model | None:
        """`data` as a `kind`, or None after adding everything that is wrong with it. path: of `data` in the file."""
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                self.add((*path, *each["loc"]), _message(kind, each))
            return None

    def error(self) -> ConfigError:
        """All problems, in the order of the file where lines are known, else in the order of finding."""
        ordered = sorted(self._found.items(), key=lambda item: self._line(item[0]) or 0)
        return ConfigError([self.sentence(path, message) for path, message in ordered])

    def sentence(self, path: Path, message: str) -> str:
        """`message` with the file, line and key path that it is about."""
        line = self._line(path)
        place = f"{self.file}:{line}" if line else self.file
        return f"{place}: {display_path(path)}: {message}" if path else f"{place}: {message}"

    def _line(self, path: Path) -> int | None:
        """The line of the path, or of the nearest enclosing one that is known."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def _message(kind: type[BaseModel], error: Mapping[str, Any]) -> str:
    loc = error["loc"]
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"is missing — {_MISSING.get(str(loc[-1]), f'write `{loc[-1]}:`')}"
    if error["type"] == "extra_forbidden":
        return _unknown_key(str(loc[-1]), _model_at(kind, loc[:-1]))
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "is not a mapping — write keys and values"
    return f"{error['msg']} — correct it"


_MISSING = {
    "source": "name the Postgres table, such as `source: public.users`",
    "target": "name the Snowflake table, such as `target: analytics.users`",
}


def _unknown_key(key: str, kind: type[BaseModel] | None) -> str:
    known = sorted(kind.model_fields) if kind else []
    meant = _SYNONYMS.get(key)
    close = [meant] if meant in known else get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}?" if close else f"remove it, or use one of {', '.join(known)}"
    return f"is not a known key — {hint}"


def _model_at(kind: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model at `loc` inside `kind`."""
    at: type[BaseModel] | None = kind
    for part in loc:
        if at is None:
            return None
        field = at.model_fields.get(str(part))
        at = (
            _model_in(field.annotation) if field else at
        )  # a mapping's key stands between a field and its model
    return at


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
