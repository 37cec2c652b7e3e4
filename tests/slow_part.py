"""Tests that run in `make thorough` only, because `make test` is run on every change and must stay short.

`slow_part.txt` names them, a line each: `path::test`, or `path::test[others]` for all parameter sets of a test but the
first. `make test` keeps the first test of each file with its first parameters, which is the file's main promise, and
every test that takes less than QUICK seconds. The list follows from a JUnit file of all tests, of a quiet machine:

    .venv/bin/pytest -n 3 -m "not stress" --junitxml=all.xml; .venv/bin/python -m tests.slow_part all.xml
"""

from __future__ import annotations

import ast
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests/slow_part.txt"
QUICK = 0.2
"""Seconds, with the test's own fixtures, while two other tests run on two cores."""
OTHERS = "[others]"


def slow_part() -> set[str]:
    """The entries of the list."""
    return {line for line in LIST.read_text(encoding="utf-8").splitlines() if line}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the listed tests as `thorough`, before tests are chosen by their marks."""
    entries, seen = slow_part(), set[str]()
    for item in items:
        function = item.nodeid.partition("[")[0]
        is_first = function not in seen
        seen.add(function)
        if function in entries or (not is_first and function + OTHERS in entries):
            item.add_marker(pytest.mark.thorough)


def defined_tests(path: Path) -> list[str]:
    """The tests of a file in the order of their definition, as in node ids: `test` or `Class::test`."""
    return list(_tests(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _tests(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _tests(node.body, f"{node.name}::")


def chosen(seconds: Mapping[str, list[float]]) -> list[str]:
    """The entries for tests (`path::test`) that took so long, by parameter set in the order of their definition."""
    entries = []
    for function, took in seconds.items():
        path, _, name = function.partition("::")
        is_main = name == next(iter(defined_tests(ROOT / path)), None)
        if took[0] > QUICK and not is_main:
            entries.append(function)
        elif len(took) > 1 and sum(took[1:]) > QUICK:
            entries.append(function + OTHERS)
    return sorted(entries)


def measured(report: Path) -> dict[str, list[float]]:
    """Seconds of each test in a JUnit file, by parameter set. The shortest set stands first, in place of the order of
    definition, which the file does not show."""
    seconds: dict[str, list[float]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module, name = str(case.get("classname")), str(case.get("name")).partition("[")[0]
        path, of_class = module.replace(".", "/") + ".py", ""
        if not (ROOT / path).exists():
            module, _, of_class = module.rpartition(".")
            path = module.replace(".", "/") + ".py"
        function = f"{path}::{of_class}::{name}" if of_class else f"{path}::{name}"
        seconds.setdefault(function, []).append(float(str(case.get("time"))))
    return {function: sorted(took) for function, took in seconds.items()}


if __name__ == "__main__":
    LIST.write_text("".join(f"{entry}\n" for entry in chosen(measured(Path(sys.argv[1])))), encoding="utf-8")
