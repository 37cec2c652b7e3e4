"""Values for keys that a table does not set itself: from `defaults:`, and from the plan's `default_batch_size`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pgsnow.model.config.problems import Problems
from pgsnow.model.config.table_config import TableDefaults

MOVED = ("max_rejected_rows",)
"""Keys that once were accepted at the top level as defaults for all tables. Still accepted, with a warning."""


def table_defaults(data: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Key → value for tables that do not set it. Wrong values are reported to `problems` and left out.

    `defaults:` takes precedence over keys at the top level.
    """
    old = {key: data[key] for key in MOVED if key in data}
    return _batch_size(data) | _valid(old, (), problems) | _from_section(data.get("defaults"), problems)


def deprecations(data: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    """One warning for each old key at the top level, with its file and line."""
    advice = "is deprecated at the top level — write it under `defaults:`"
    return tuple(problems.sentence((key,), advice) for key in MOVED if key in data)


def _batch_size(data: Mapping[str, Any]) -> dict[str, Any]:
    """Empty for a wrong value, which is reported as a key of the file."""
    if "default_batch_size" not in data:
        return {}
    found = {"batch_size": data["default_batch_size"]}
    try:
        TableDefaults.model_validate(found)
    except ValidationError:
        return {}
    return found


def _from_section(section: object, problems: Problems) -> dict[str, Any]:
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        problems.add(("defaults",), "is not a mapping — write keys that every table may have")
        return {}
    return _valid(section, ("defaults",), problems)


def _valid(values: Mapping[str, Any], path: tuple[str, ...], problems: Problems) -> dict[str, Any]:
    before = len(problems)
    problems.validate(TableDefaults, values, path)
    wrong = {found[len(path)] for found in problems.paths[before:] if len(found) > len(path)}
    return {key: value for key, value in values.items() if key not in wrong}
