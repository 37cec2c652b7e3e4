"""Replacement of `${VAR}` and `${VAR:-default}` in the string values of a parsed configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z", re.DOTALL)

Path = tuple[str | int, ...]


class Expanded(str):
    """Text that came, at least in part, from the environment. written: the text in the file, which messages show."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, text: str, written: str) -> Expanded:
        made = super().__new__(cls, text)
        made.written = written
        return made


def expand(
    value: Any, env: Mapping[str, str], *, report: Callable[[Path, str], None], path: Path = ()
) -> Any:
    """`value` with every reference in its strings replaced; `$${` stands for a literal `${`.

    A default is used if the variable is unset or empty, as in a shell. Missing variables and malformed references are
    reported by `report(path, message)`, and their text stays unchanged.
    """
    if isinstance(value, str):
        return _expand_text(value, env, lambda message: report(path, message))
    if isinstance(value, Mapping):
        return {key: expand(item, env, report=report, path=(*path, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [expand(item, env, report=report, path=(*path, at)) for at, item in enumerate(value)]
    return value


def _expand_text(text: str, env: Mapping[str, str], report: Callable[[str], None]) -> str:
    if "${" not in text:
        return text
    return Expanded(_REFERENCE.sub(lambda match: _replacement(match, env, report), text), text)


def _replacement(match: re.Match[str], env: Mapping[str, str], report: Callable[[str], None]) -> str:
    if match[0] == "$${":
        return "${"
    inside = _INSIDE.match(match[1] or "")
    if inside is None:
        report(
            f"{match[0]!r} is not a reference — write ${{NAME}} or ${{NAME:-default}}, or $${{ to mean ${{"
        )
        return match[0]
    name, default = inside.groups()
    found = env.get(name)
    if default is not None and not found:
        return default
    if found is None:
        report(f"${{{name}}} is not set — set {name} in the environment or .env, or write ${{{name}:-…}}")
        return match[0]
    return found


def escape(value: Any) -> Any:
    """The inverse of `expand` for plain data: text that `expand` turns back into `value`."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escape(item) for item in value]
    return value
