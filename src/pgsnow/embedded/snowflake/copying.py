"""COPY INTO's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakesnow.copy_into
from sqlglot import exp

FLAGS = ("FORCE", "PURGE")
WITHOUT_EFFECT = (
    "RETURN_FAILED_ONLY",
    "ENFORCE_LENGTH",
    "TRUNCATECOLUMNS",
    "LOAD_UNCERTAIN_FILES",
    "LOAD_MODE",
)


def honour_copy_flags() -> None:
    """Stock: FORCE=FALSE and PURGE=FALSE act as TRUE, and options without an effect here are errors."""
    fakesnow.copy_into._params = _only_options_that_count(fakesnow.copy_into._params)


def _only_options_that_count(stock: Callable[..., Any]) -> Callable[..., Any]:
    def params(expression: exp.Copy, *args: Any, **kwargs: Any) -> Any:
        counting = [param.copy() for param in expression.args.get("params", []) if _counts(param)]
        reduced = expression.copy()
        reduced.set("params", counting)
        return stock(reduced, *args, **kwargs)

    return params


def _counts(param: exp.CopyParameter) -> bool:
    name, value = param.this.name.upper(), param.expression
    switched_off = isinstance(value, exp.Boolean) and not value.this
    return name not in WITHOUT_EFFECT and not (name in FLAGS and switched_off)


def find_named_files() -> None:
    """Stock: FILES=(...) works with external stages only."""
    stock = fakesnow.copy_into._source_urls

    def urls(source: str, files: list[str]) -> list[str]:
        if source.startswith("/"):
            return [f"{source.rstrip('/')}/{file}" for file in files]
        return list(stock(source, files))

    fakesnow.copy_into._source_urls = urls
