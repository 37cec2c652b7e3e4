"""Reads the project's Markdown pages: blocks, links, headings, prose."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page of the project that a person reads."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plan/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    found = _BLOCK.findall(page.read_text())
    return [textwrap.dedent(text) if indent else text for indent, kind, text in found if kind == language]


def links(page: Path) -> list[str]:
    """Paths of the links to other files of the repository, without their anchors."""
    return [path for path, _ in _links(page) if path]


def anchors(page: Path) -> list[tuple[Path, str]]:
    """Page and anchor of each link that names an anchor."""
    return [
        ((page.parent / path).resolve() if path else page, anchor) for path, anchor in _links(page) if anchor
    ]


def _links(page: Path) -> list[tuple[str, str]]:
    return [(path, anchor) for path, anchor in _LINK.findall(page.read_text()) if "://" not in path]


def headings(page: Path) -> list[str]:
    """Anchors of the page's headings, in the form that GitHub gives them."""
    found = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", _plain(heading).lower()).replace(" ", "-") for heading in found]


def _plain(heading: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)


def prose(page: Path) -> str:
    """The page without fenced blocks, code, and the addresses of links."""
    text = _FENCED.sub("", page.read_text())
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
