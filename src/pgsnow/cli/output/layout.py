"""Layout of tables and sentences in a given width. Pure: no terminal, no colours.

No word is broken inside. Names are shortened in the middle; a table that is too wide gets a second line below each row
for its sentences and for the values that do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
EMPTY = "–"
GAP = "  "
INDENT = "    "
"""Before the second line of a row."""
COMFORTABLE, SHORTEST = 26, 12
"""Characters that a shortened name keeps before columns are moved to the second line, and at least."""
_SPAN = re.compile(r"`[^`]+`[^\s`]*|[^\s`]+`?|`")
"""A command in backticks with what follows it directly, or a word."""
_JOINTS = re.compile(r"(?<=[./,;:|&?])(?=[^\s./,;:|&?])")
"""Places inside a word at which a path, an address or a list may go on in the next line."""


class Role(Enum):
    """How a column behaves in a table that is too wide."""

    VALUE = "value"
    """Is shown in full; moves to the second line only if nothing else helps."""
    NAME = "name"
    """Is shortened in the middle."""
    EXTRA = "extra"
    """Moves to the second line, as `heading value`; left out there if it is empty or 0."""
    TEXT = "text"
    """A sentence: moves to the second line, where it is wrapped at blanks."""


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A column's heading, or one value of it."""

    text: str
    role: Role = Role.VALUE
    right: bool = False
    style: str = ""

    def fitted(self, width: int) -> str:
        """The text in exactly this width, shortened in the middle if it is longer."""
        text = shortened(self.text, width)
        missing = " " * (width - cell_len(text))
        return missing + text if self.right else text + missing


Pieces = list[tuple[str, str]]
"""One line: texts with their styles."""


def table_lines(
    head: Sequence[ShownCell],
    rows: Sequence[Sequence[ShownCell]],
    width: int | None,
    *,
    has_heading: bool = True,
) -> list[Pieces]:
    """The lines of a table: headings, then one or two lines a row. width: of the terminal; None: no limit, one line
    a row. has_heading: False leaves the headings out, and the columns have the same widths."""
    widths = _natural(head, rows, whole_headings=True)
    headings: list[Sequence[str]] = [[cell.text] for cell in head]
    if width is None or _total(widths) <= width:
        order = list(range(len(head)))
    else:
        headings = [_broken_heading(cell.text) for cell in head]
        widths = _natural(head, rows, whole_headings=False)
        order = _first_line(head, widths, width)
        _shorten_names(head, widths, order, width)
    lines = list(_head_lines(head, headings, widths, order)) if has_heading else []
    below = [at for at in range(len(head)) if at not in order]
    for row in rows:
        lines.append(_line([row[at] for at in order], [widths[at] for at in order]))
        if below and width is not None:
            lines.extend(_second_line(head, row, below, width))
    return lines


def _natural(
    head: Sequence[ShownCell], rows: Sequence[Sequence[ShownCell]], *, whole_headings: bool
) -> list[int]:
    texts = [[cell.text] if whole_headings else _broken_heading(cell.text) for cell in head]
    widths = [max(map(cell_len, lines), default=0) for lines in texts]
    for row in rows:
        for at, cell in enumerate(row):
            widths[at] = max(widths[at], cell_len(cell.text))
    return widths


def _broken_heading(text: str) -> Sequence[str]:
    """Two lines of a heading of several words, the first no longer than necessary."""
    words = text.split(" ")
    if len(words) < 2:
        return [text]
    splits = ((" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words)))
    return min(splits, key=lambda pair: max(map(len, pair)))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * max(0, len(widths) - 1)


def _first_line(head: Sequence[ShownCell], widths: Sequence[int], width: int) -> list[int]:
    """The columns that stay in the first line: sentences leave it first, then extras from the right, at last values."""

    def least(columns: Sequence[int], name: int) -> int:
        return _total([min(widths[at], name) if head[at].role is Role.NAME else widths[at] for at in columns])

    order = [at for at in range(len(head)) if head[at].role is not Role.TEXT]
    for role, name in ((Role.EXTRA, COMFORTABLE), (Role.VALUE, SHORTEST), (Role.NAME, SHORTEST)):
        for at in reversed(order[1:]):
            if least(order, name) <= width:
                return order
            if head[at].role is role:
                order.remove(at)
    return order


def _shorten_names(head: Sequence[ShownCell], widths: list[int], order: Sequence[int], width: int) -> None:
    """Narrow the widest name column, again and again, until the line fits."""
    names = [at for at in order if head[at].role is Role.NAME]
    while names and _total([widths[at] for at in order]) > width:
        widest = max(names, key=lambda at: widths[at])
        if widths[widest] <= SHORTEST:
            return
        widths[widest] -= 1


def _head_lines(
    head: Sequence[ShownCell], headings: Sequence[Sequence[str]], widths: Sequence[int], order: Sequence[int]
) -> Iterator[Pieces]:
    height = max((len(headings[at]) for at in order), default=1)
    for number in range(height):
        cells = []
        for at in order:
            lines = ["", *headings[at]] if len(headings[at]) < height else headings[at]
            cells.append(replace(head[at], text=lines[number], style="bold"))
        yield _line(cells, [widths[at] for at in order])


def _line(cells: Sequence[ShownCell], widths: Sequence[int]) -> Pieces:
    pieces: Pieces = []
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = cell.fitted(width)
        pieces.append((text if at == 0 else GAP + text, cell.style))
    while pieces and not (text := pieces[-1][0].rstrip()):
        pieces.pop()
    return [*pieces[:-1], (text, pieces[-1][1])] if pieces else []


def _second_line(
    head: Sequence[ShownCell], row: Sequence[ShownCell], below: Sequence[int], width: int
) -> Iterator[Pieces]:
    """Lines below a row: the values that did not fit, then its sentences."""
    values = [
        f"{head[at].text} {row[at].text}"
        for at in below
        if head[at].role is not Role.TEXT and row[at].text not in (EMPTY, "0")
    ]
    texts = [row[at].text for at in below if head[at].role is Role.TEXT and row[at].text != EMPTY]
    for text, style in [(" · ".join(values), "dim"), *((text, "") for text in texts)]:
        if text:
            yield from ([(line, style)] for line in wrapped(text, width, INDENT, INDENT))


def shortened(text: str, width: int) -> str:
    """The text, without its middle if it is wider: `public.order_…_archive`."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return ELLIPSIS[:width]
    tail = (width - 1) // 2
    head = set_cell_size(text, width - 1 - tail).rstrip()
    end = text[-tail:] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    return f"{head}{ELLIPSIS}{end}"


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of the text, broken at blanks alone. first, rest: what the first and every further line begins with.

    A command in backticks stays in one line if it fits into one. A word wider than a line is broken after one of
    `. / , ; : | & ?`, and what is still wider is shortened in the middle.
    """
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        begin = rest if lines else first
        if cell_len(begin + paragraph) <= width:
            lines.append(begin + paragraph)
        else:
            lines.extend(_broken(paragraph, width, begin, rest))
    return lines


def _broken(paragraph: str, width: int, begin: str, rest: str) -> Iterator[str]:
    line, is_empty = begin, True
    for glue, span in _spans(paragraph, width - cell_len(rest)):
        if not is_empty and cell_len(line + glue + span) > width:
            yield line
            line, is_empty = rest, True
        line += span if is_empty else glue + span
        is_empty = False
    yield line


def _spans(text: str, width: int) -> Iterator[tuple[str, str]]:
    """The parts of a text that stay in one line, each after the blank that stands before it, or ""."""
    for match in _SPAN.finditer(text):
        glue = " " if text[: match.start()].endswith((" ", "\t")) else ""
        for number, word in enumerate([match[0]] if cell_len(match[0]) <= width else match[0].split()):
            parts = _JOINTS.split(word) if cell_len(word) > width else [word]
            for at, part in enumerate(parts):
                yield (glue if number == at == 0 else " " if at == 0 else "", shortened(part, width))
