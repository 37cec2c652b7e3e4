"""The documentation's pages as they are installed: Markdown files, divided into sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pgsnow
from pgsnow.model.errors import ConfigError

PACKAGE = Path(pgsnow.__file__).parent
PLACES = (PACKAGE / "docs", PACKAGE.parents[1] / "docs")
"""A wheel has the pages inside of the package; a checkout has them beside `src`."""

_HEADING = re.compile(r"^(#+) (.+)$")
_ENTRY = re.compile(r"^\| \[([^]]+)\]\(([^)#]+)\) \| (.+) \|$")
_GROUP = re.compile(r"^\| ([^|\[]+) \| \|$")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of a page with the text below it, up to the next heading of any level.

    page: path below the folder of the pages, without `.md`. whole: with the sections that it contains.
    """

    page: str
    title: str
    anchor: str
    text: str
    whole: str

    @property
    def topic(self) -> str:
        """The argument of `pgsnow explain` that shows this section."""
        return f"{self.page}#{self.anchor}"


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A line of the index: a page, its title, what it is about, and the group that it belongs to."""

    group: str
    page: str
    title: str
    about: str


def folder() -> Path:
    """The folder of the pages. Raises ConfigError if this installation has none."""
    for place in PLACES:
        if (place / "index.md").is_file():
            return place
    raise ConfigError(
        "this installation has no documentation",
        advice="Install pgsnow from a wheel, or read docs/ of its sources.",
    )


@cache
def names() -> tuple[str, ...]:
    """Every page, as its path without `.md`."""
    root = folder()
    return tuple(sorted(path.relative_to(root).as_posix().removesuffix(".md") for path in root.rglob("*.md")))


def text_of(page: str) -> str:
    return (folder() / f"{page}.md").read_text(encoding="utf-8")


@cache
def listed() -> tuple[PageEntry, ...]:
    """The pages that the index lists, in its order."""
    found: list[PageEntry] = []
    group = ""
    for line in text_of("index").splitlines():
        if heading := _GROUP.match(line):
            group = heading[1]
        elif (entry := _ENTRY.match(line)) and not entry[2].startswith("../"):
            found.append(PageEntry(group, entry[2].removesuffix(".md"), entry[1], entry[3]))
    return tuple(found)


@cache
def sections(page: str) -> tuple[Section, ...]:
    """The sections of a page in order; the first one begins with the page's title."""
    lines = text_of(page).splitlines()
    starts = [*_headings(lines), (len(lines), 0, "")]
    found = []
    for at, (start, level, title) in enumerate(starts[:-1]):
        end = next(line for line, other, _ in starts[at + 1 :] if other <= level)
        text = "\n".join(lines[start : starts[at + 1][0]]).strip()
        whole = "\n".join(lines[start:end]).strip()
        found.append(Section(page, _plain(title), anchor_of(title), text, whole))
    return tuple(found)


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Line, level and text of each heading outside of fenced blocks."""
    fenced = False
    for at, line in enumerate(lines):
        fenced ^= line.startswith("```")
        if not fenced and (heading := _HEADING.match(line)):
            yield at, len(heading[1]), heading[2]


def _plain(heading: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)


def anchor_of(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", _plain(heading).lower()).replace(" ", "-")
