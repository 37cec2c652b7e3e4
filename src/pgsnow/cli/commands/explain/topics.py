"""Finds what the documentation says about a topic: a page, one of its sections, a term of the glossary, an error,
or the rows of its tables about a key, a variable, a status, a column or a metric."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Sequence
from functools import cache

from pgsnow.cli.commands.explain.pages import Section, listed, names, sections
from pgsnow.model import errors

_CODE = re.compile(r"`([^`]+)`")
_RETRIES = {
    errors.Retry.NOW: "It is likely to pass by itself, and is tried again.",
    errors.Retry.AFTER_FIX: "It stays until its cause is fixed.",
    errors.Retry.NEVER: "It is not tried again in the same run.",
}


def explanation(topic: str) -> str | None:
    """Markdown about the topic; None if the documentation does not have it. Upper and lower case are the same, and
    so are blanks, `-` and `_`."""
    page, sign, anchor = topic.partition("#")
    if (name := _page(page)) is not None:
        found = sections(name)
        return _section(found, anchor) if sign else found[0].whole
    return "\n\n".join(part for part in (_term(topic), _error(topic), *_rows(topic)) if part) or _titled(
        topic
    )


def suggestions(topic: str) -> list[str]:
    """Topics with a similar name, then sections that contain the words; at most eight."""
    close = difflib.get_close_matches(_key(topic), known := _topics(), n=4, cutoff=0.6)
    words = topic.lower().split()
    mentioned = [
        section.topic
        for entry in listed()
        for section in sections(entry.page)
        if all(word in section.text.lower() for word in words)
    ]
    return [*(known[name] for name in close), *mentioned][:8]


def _key(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def _page(name: str) -> str | None:
    """The page with this path, this name in its folder, or this number of a decision."""
    wanted = _key(name).removesuffix(".md").removeprefix("docs/")
    for page in names():
        decision = re.fullmatch(r"decisions/0*(\d+)-.*", page)
        short = {page, page.rpartition("/")[2]} | ({f"decision-{decision[1]}"} if decision else set())
        if wanted in {_key(other) for other in short} - {"readme"}:
            return page
    return None


def _section(found: Sequence[Section], anchor: str) -> str | None:
    """The section with this anchor, or the first one whose anchor begins so."""
    wanted = _key(anchor)
    same = [section for section in found if _key(section.anchor) == wanted]
    begins = [section for section in found if wanted and _key(section.anchor).startswith(wanted)]
    return next((section.whole for section in (*same, *begins)), None)


def _term(topic: str) -> str | None:
    """The entry of the glossary, also for a plural or one of several terms: "idle" of "Idle and busy"."""
    wanted = {_key(topic), _key(topic).removesuffix("s")}
    for section in sections("glossary"):
        parts = re.split(r", | and ", section.title)
        if section.text.startswith("### ") and wanted & {_key(name) for name in (section.title, *parts)}:
            return section.whole
    return None


def _error(topic: str) -> str | None:
    """The class of an error: what it means, whether it is tried again, what to do."""
    found = next((e for e in error_classes() if e.__name__.lower() == topic.strip().lower()), None)
    if found is None:
        return None
    parts = [f"### {found.__name__}", inspect.cleandoc(found.__doc__ or ""), _RETRIES[found.retry]]
    return "\n\n".join([*parts, *([f"→ {found.default_advice}"] if found.default_advice else [])])


def error_classes() -> list[type[errors.PgsnowError]]:
    """Every class of the tree of errors."""
    found = inspect.getmembers(errors, inspect.isclass)
    return [e for _, e in found if issubclass(e, errors.PgsnowError)]


def _rows(topic: str) -> list[str]:
    """The rows of tables whose first cell is about the topic, each table with its header and the section's topic."""
    found = []
    for section, rows in _tables().get(_key(topic), {}).items():
        header = _header(section.text.splitlines(), rows[0])
        found.append("\n".join([f"### {section.title} ({section.topic})", "", *header, *rows]))
    return found


@cache
def _tables() -> dict[str, dict[Section, list[str]]]:
    """Each name that the first cell of a row has as code -> the sections with such rows."""
    found: dict[str, dict[Section, list[str]]] = {}
    for section in (section for entry in listed() for section in sections(entry.page)):
        for row in section.text.splitlines():
            for name in dict.fromkeys(map(_key, _names_in(row))):
                found.setdefault(name, {}).setdefault(section, []).append(row)
    return found


def _names_in(row: str) -> list[str]:
    """Names that are marked as code in the first cell of a row of a table."""
    return _CODE.findall(re.split(r"(?<!\\)\|", row)[1]) if row.startswith("| ") else []


def _header(lines: list[str], row: str) -> list[str]:
    """Header and rule of the table that has the row."""
    first = lines.index(row)
    while first > 0 and lines[first - 1].startswith("|"):
        first -= 1
    return lines[first : first + 2]


def _titled(topic: str) -> str | None:
    """The sections with this title."""
    every = [section for entry in listed() for section in sections(entry.page)]
    found = [section.whole for section in every if _key(section.title.replace("`", "")) == _key(topic)]
    return "\n\n".join(found) or None


def _topics() -> dict[str, str]:
    """Every name that can be asked for, in the form in which names are compared."""
    every = [section for entry in listed() for section in sections(entry.page)]
    found = [page for page in names() if not page.startswith("decisions/")]
    found += [error.__name__ for error in error_classes()]
    found += [section.title for section in every]
    found += [name for section in every for row in section.text.splitlines() for name in _names_in(row)]
    return {_key(name): name for name in found}
