"""The JSON Schema of sync_config.yaml, for editors. What is valid is decided by parse_config."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}
_SCALARS = ("integer", "number", "boolean")


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model (draft 2020-12), in which numbers and booleans may also be written as `${VAR}`."""
    schema = model.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "sync_config.yaml"
    definitions = schema["$defs"]
    schema["properties"]["tables"]["minItems"] = 1
    schema["patternProperties"] = {"^x-": {"description": "Not read: a place for YAML anchors."}}
    _describe(model, [schema, *definitions.values()])
    for part in [schema, *definitions.values()]:
        part["properties"] = {key: _property(key, value) for key, value in part.get("properties", {}).items()}
        if "enum" in part:
            del part["properties"]
    return dict(schema)


def _describe(model: type[BaseModel], parts: list[dict[str, Any]]) -> None:
    """Adds to each property the text below its field as description."""
    models = {each.__name__: each for each in _inside(BaseModel)}
    for part, named in zip(parts, [model, *map(models.get, list(parts[0]["$defs"]))], strict=True):
        for key, text in (field_docs(named) if named else {}).items():
            part["properties"].get(key, {}).setdefault("description", text)


def _inside(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for below in model.__subclasses__():
        yield below
        yield from _inside(below)


def _property(key: str, value: dict[str, Any]) -> dict[str, Any]:
    value = {name: item for name, item in value.items() if name != "title"}
    if value.get("type") in _SCALARS:
        outer: dict[str, Any] = {
            name: value.pop(name) for name in ("default", "description") if name in value
        }
        return {"anyOf": [value, _REFERENCE], **outer}
    if key == "transform":
        return {**value, "anyOf": [{"type": "string"}, *value["anyOf"]]}
    return value


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Field → the string literal below it, in the class or in one of its bases.

    Pydantic could read these texts while classes are created, but that would take a tenth of each command's start.
    """
    docs: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            docs |= dict(_below(each))
    return docs


def _below(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    if not isinstance(defined, ast.ClassDef):
        return
    for field, text in pairwise(defined.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            yield field.target.id, inspect.cleandoc(str(text.value.value))
