"""Tables and messages in a narrow terminal: everything fits, and what is shortened is shortened readably."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pgsnow.cli.output.layout import EMPTY, Role, ShownCell, shortened, table_lines, wrapped
from pgsnow.cli.output.screen import Shown, table_of

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Mn", "Cf")))
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
ROLES = st.sampled_from(Role)


def plain(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


@given(WORDS, st.integers(1, 40))
def test_a_shortened_name_fits_and_keeps_both_ends(name: str, width: int) -> None:
    """Names that share a prefix, as the tables of one schema do, are told apart by their ends."""
    short = shortened(name, width)
    assert cell_len(short) <= width
    if short != name and width >= 8 and name.isascii():
        head, _, tail = short.partition("…")
        assert name.startswith(head)
        assert name.endswith(tail)
        assert tail


@given(SENTENCES, st.integers(20, 90))
def test_wrapped_text_fits_and_loses_no_word(text: str, width: int) -> None:
    """Every line fits; the words are there, in order, unless one is wider than a line."""
    lines = wrapped(text, width, "", "  ")
    assert all(cell_len(line) <= width for line in lines)
    if all(cell_len(word) <= width - 2 for word in text.split()):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_no_word_is_broken_and_a_command_in_backticks_stays_whole() -> None:
    """A person copies it from one line."""
    text = "the column is gone: fix the table list, then `pgsnow run --select public.users` loads it again"
    for width in range(38, 100):
        lines = wrapped(text, width)
        assert {word for line in lines for word in line.split()} <= set(text.split())
        assert any("`pgsnow run --select public.users`" in line for line in lines)


@given(
    st.lists(ROLES, min_size=1, max_size=8),
    st.lists(st.lists(st.text("ab .", max_size=40), min_size=8, max_size=8), max_size=5),
    st.integers(40, 160),
)
def test_a_table_fits_the_terminal_and_shows_every_value(
    roles: list[Role], rows: list[list[str]], width: int
) -> None:
    """Values that are neither names nor wider than the terminal are shown in full, in one line or two."""
    head = [ShownCell(f"h{at}", role) for at, role in enumerate(roles)]
    cells = [[ShownCell(row[at].strip() or EMPTY, role) for at, role in enumerate(roles)] for row in rows]
    lines = plain(table_lines(head, cells, width))
    first = cells[0][0].text if cells else ""
    assert all(cell_len(line) <= max(width, cell_len(first)) for line in lines)
    shown = "".join(lines).replace(" ", "")
    for row in cells:
        for cell in row:
            if cell.role in (Role.VALUE, Role.TEXT) and cell.text not in (EMPTY, "0") and len(cell.text) < 30:
                assert cell.text.replace(" ", "") in shown or cell.role is Role.TEXT


def test_a_pipe_has_one_line_a_row_with_every_value() -> None:
    """Scripts read lines: nothing is folded or shortened, however long, and no line break of a value is kept."""
    table = table_of((Shown("a", role=Role.NAME), Shown("b", role=Role.TEXT)), [("n" * 300, "x\ny " * 90)])
    header, row = [line.plain for line in table.lines(None)]
    assert header.split() == ["a", "b"]
    assert row.startswith("n" * 300)
    assert row.count("x y") == 90


def test_no_value_moves_the_cursor() -> None:
    """A value of the database is data: an escape sequence in it is not sent to the terminal."""
    table = table_of((Shown("a"),), [("\x1b[2J\x1b]0;title\x07",)])
    assert "\x1b" not in table.lines(None)[1].plain
