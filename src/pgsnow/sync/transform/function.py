"""Finds a transform's function, and whether it takes one row or one batch at a time."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from pgsnow.model.errors import TransformFailed

Function = Callable[[Any], Any]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_MARK = "__pgsnow_batch__"
_FORM = "Write package.module:function, importable from where the worker runs (its working directory or PYTHONPATH)."


def batch_function(function: Decorated) -> Decorated:
    """Decorator for a function that takes and returns a pyarrow.RecordBatch, for use if its annotations do not say
    so."""
    setattr(function, _MARK, True)
    return function


def find_function(reference: str) -> Function:
    """Import `module:function` or `module.function`. Raises TransformFailed if it cannot be imported, or cannot be
    called with one argument."""
    module_name, _, path = reference.partition(":") if ":" in reference else reference.rpartition(".")
    found: Any = _module(module_name, reference)
    for part in path.split("."):
        if not hasattr(found, part):
            raise TransformFailed(f"transform {reference}: {module_name} has no {path}", advice=_FORM)
        found = getattr(found, part)
    _check_callable(found, reference)
    function: Function = found
    return function


def _module(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        what = f"there is no module {error.name}"
        raise TransformFailed(f"transform {reference}: {what}", advice=_FORM) from error
    except Exception as error:  # a module may raise anything while it is imported
        what = f"importing {name} raised {type(error).__name__}"
        raise TransformFailed(
            f"transform {reference}: {what}",
            advice=f"Make `import {name}` work; `python -c 'import {name}'` shows what it raises.",
        ) from error


def _check_callable(found: object, reference: str) -> None:
    if not callable(found):
        raise TransformFailed(f"transform {reference}: it is a {type(found).__name__}, not a function")
    plain = inspect.unwrap(found)
    if inspect.iscoroutinefunction(plain) or inspect.isgeneratorfunction(plain):
        raise TransformFailed(
            f"transform {reference}: it is a coroutine or a generator",
            advice="Write a plain function that returns the row or the batch.",
        )
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        raise TransformFailed(
            f"transform {reference}: it cannot be called with one argument",
            advice="Give it one parameter: the row as a dict, or the batch as a pyarrow.RecordBatch.",
        ) from None
    except ValueError:
        return  # some built-in callables have no signature


def takes_batches(function: Function) -> bool:
    """True if marked by `batch_function`, or if the parameter or the return is annotated as a RecordBatch."""
    if getattr(function, _MARK, False):
        return True
    target = function if inspect.isroutine(function) else type(function).__call__
    return any(_names_batch(each) for each in getattr(target, "__annotations__", {}).values())


def _names_batch(annotation: object) -> bool:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.strip("'\"").rpartition(".")[2] == "RecordBatch"
