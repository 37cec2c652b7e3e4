"""Page docs/edges.md, made from the docstrings of the tests beside it: `python -m tests.edges.page > docs/edges.md`.

Each docstring: a sentence that says what happens, then paragraphs `Group:`, `Danger:` and `Answer:`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GROUPS = {
    "history": "The source's history",
    "watermarks": "Watermarks",
    "connections": "Connections and sessions",
    "keys": "Keys and names",
    "values": "Values",
    "encodings": "Encodings",
    "rights": "Rights",
    "discovery": "Discovery",
    "target": "The target",
    "account": "The Snowflake account",
    "ledger": "The ledger",
    "process": "The process, its files and its settings",
}
"""A docstring's group → its heading, in the order of the page."""
INTRODUCTION = """\
# What can go wrong, and what pgsnow does

Things that happen around a sync: a restore, a pooler, a right that is withdrawn, a key that is written in two ways. For
each of them, this page says what a user would lose or misread, and what pgsnow does about it. Each entry is the text of
a test of the same name in `tests/edges/`, which makes it happen with real servers. Words: [glossary](glossary.md).
"""
PARTS = re.compile(
    r"(?P<title>.+?)\n\nGroup: (?P<group>\w+)\nDanger: (?P<danger>.+?)\nAnswer: (?P<answer>.+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Edge:
    """One thing that can go wrong. `file`: the name of its test module."""

    file: str
    title: str
    group: str
    danger: str
    answer: str


def edges(folder: Path = HERE) -> list[Edge]:
    """All entries, by file name. Raises ValueError for a module whose docstring has another form."""
    return [_edge(file) for file in sorted(folder.glob("test_*.py"))]


def page(found: Sequence[Edge]) -> str:
    """The page in Markdown."""
    return "\n".join([INTRODUCTION, *_sections(found)])


def _edge(file: Path) -> Edge:
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    parts = PARTS.fullmatch(docstring)
    if parts is None or parts["group"] not in GROUPS:
        raise ValueError(
            f"{file}: the docstring has no title, Group (of {', '.join(GROUPS)}), Danger and Answer"
        )
    texts = {name: " ".join(text.split()) for name, text in parts.groupdict().items()}
    return Edge(
        file.name,
        **{name: text[0].upper() + text[1:] if name != "group" else text for name, text in texts.items()},
    )


def _sections(found: Sequence[Edge]) -> Iterator[str]:
    for group, heading in GROUPS.items():
        yield f"## {heading}\n"
        for edge in found:
            if edge.group == group:
                yield f"### {edge.title.rstrip('.')}\n"
                yield f"{edge.danger}\n\n**pgsnow:** {edge.answer} (`tests/edges/{edge.file}`)\n"


if __name__ == "__main__":
    sys.stdout.write(page(edges()))
