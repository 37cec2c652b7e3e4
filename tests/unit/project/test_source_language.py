"""The source code is easy to enter: plain docstrings, current English, small folders, unique class names."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.unit.project.markdown import ROOT
from tests.unit.project.test_language import ARCHAIC, found

SOURCE = ROOT / "src/pgsnow"
MODULES_PER_FOLDER = 15
"""As many as the command line has commands, each of which is a module; most folders have ten or fewer."""
FILES = sorted(p for p in SOURCE.rglob("*") if p.suffix in {".py", ".sql", ".txt"})
MODULES = [p for p in FILES if p.suffix == ".py"]
COMPANIONS = sorted(p for name in ("benchmarks", "backend") for p in (ROOT / name).rglob("*.py"))
"""Code that is not part of the package, with the same rules for its language."""
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(file: Path) -> Iterator[tuple[str, str]]:
    """Name and docstring of a module and of each class, function and attribute in it that has one."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "name", file.stem), text
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from _attributes(node)


def _attributes(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Name and text of each assignment that a string follows."""
    for before, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                target = before.targets[0] if isinstance(before, ast.Assign) else before.target
                yield ast.unparse(target), value.value.strip()


def test_a_docstring_says_what_the_thing_is_or_does() -> None:
    """None begins with Of, What, Who or The same: such sentences name no subject. Only modules that have such a text
    are parsed."""
    riddle = re.compile(r"(Of|What|Who|The same)\b")
    suspect = re.compile(rf"""(\"{{3}}|'{{3}}|["'])\s*{riddle.pattern}""")
    assert [
        f"{_name(file)}: {name}: {text.splitlines()[0]}"
        for file in (*MODULES, *COMPANIONS)
        if suspect.search(file.read_text())
        for name, text in documented(file)
        if riddle.match(text)
    ] == []


def test_the_source_has_no_archaic_words() -> None:
    words = (*ARCHAIC, "load unit", "load units")
    texts = {_name(file): file.read_text() for file in (*FILES, *COMPANIONS)}
    assert {name: hits for name, text in texts.items() if (hits := found(words, text))} == {}


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_a_folder_is_small() -> None:
    modules = Counter(p.parent.relative_to(SOURCE) for p in MODULES if p.name != "__init__.py")
    assert {folder: count for folder, count in modules.items() if count > MODULES_PER_FOLDER} == {}


def test_contributing_names_the_same_limit_for_folders() -> None:
    assert f"has at most {MODULES_PER_FOLDER} modules" in (ROOT / "CONTRIBUTING.md").read_text()


def test_class_names_are_unique() -> None:
    """A name in an error, a log or a conversation stands for one class."""
    places = defaultdict(list)
    for file in MODULES:
        for name in re.findall(r"^\s*class ([A-Za-z]\w*)[(:]", file.read_text(), re.MULTILINE):
            places[name].append(_name(file))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_the_corrections_on_the_emulators_page_exist() -> None:
    page = (ROOT / "docs/emulator.md").read_text().partition("## What still differs")[0]
    named = re.findall(r"`(\w+)\.(\w+)`", page.partition("## What is corrected")[2])
    texts = {p.stem: p.read_text() for p in (SOURCE / "embedded/snowflake").rglob("*.py")}
    assert named
    missing = [f"{m}.{n}" for m, n in named if not re.search(rf"^(def|class) {n}\b", texts.get(m, ""), re.M)]
    assert missing == []


def test_the_packages_in_the_architecture_are_those_of_the_source() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text().partition("src/pgsnow/\n")[2].partition("tests/\n")[0]
    named = {m[1] for m in re.finditer(r"^ +(\w+)/ ", tree, re.MULTILINE)}
    packages = {p.parent for p in SOURCE.rglob("__init__.py") if p.parent != SOURCE}
    first, second = ({p for p in packages if len(p.relative_to(SOURCE).parts) == depth} for depth in (1, 2))
    in_a_line = {
        "celery",
        "fastapi",
        "commands",
        "output",
        "config",
        "settings",
        "types",
        "evolution",
        "discovery",
        "log",
    }
    in_a_line |= {p.name for p in second if p.parent.name == "embedded"}
    assert {p.name for p in first} <= named
    assert {p.name for p in second} <= named | in_a_line
