"""A watched screen is redrawn without flicker: nothing is cleared first, and only lines that changed are written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from pgsnow.cli.commands import status
from pgsnow.cli.output.status_text import StatusView
from pgsnow.cli.output.watch import Frames, redrawn
from pgsnow.model.errors import LedgerAccessDenied, LedgerUnavailable, PgsnowError

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
WIDTH, HEIGHT = 30, 8
SCREENS = st.lists(st.lists(st.text("ab ", max_size=WIDTH), max_size=12), min_size=1, max_size=6)


def console() -> Console:
    return Console(file=sys.stdout, force_terminal=True, width=WIDTH, height=HEIGHT, color_system=None)


def shown_by(written: str) -> list[str]:
    """The screen of a terminal that has got this: a small emulation of the three sequences that are used."""
    screen = [""] * (HEIGHT + 1)
    for part in written.replace("\x1b[?2026h", "").replace("\x1b[?2026l", "").split("\x1b[")[1:]:
        place, sign, text = part.partition("H")
        if sign:
            row = int(place.split(";")[0]) - 1
            screen[row] = text
        elif part == "J":
            screen[row:] = [""] * (len(screen) - row)
    return screen


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCREENS)
def test_the_screen_shows_the_last_lines_whatever_came_before(
    capsys: pytest.CaptureFixture[str], screens: list[list[str]]
) -> None:
    """Lines that are not written again are right, and those of a longer screen before are gone."""
    capsys.readouterr()
    frames = Frames(console())
    for screen in screens:
        frames.show([Text(line) for line in screen])
    expected = screens[-1][: HEIGHT - 1]
    seen = shown_by(capsys.readouterr().out)
    assert [line.rstrip() for line in seen[: len(expected)]] == [line.rstrip() for line in expected]
    assert not any(seen[len(expected) :])


def lines(*texts: str) -> Sequence[Text]:
    return [Text(text) for text in texts]


def test_only_changes_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """An unchanged screen sends nothing at all, also over a slow connection."""
    frames = Frames(console())
    frames.show(lines("one", "two", "three"))
    capsys.readouterr()
    frames.show(lines("one", "two", "three"))
    assert capsys.readouterr().out == ""
    frames.show(lines("one", "2", "three"))
    out = capsys.readouterr().out
    assert "2\x1b[K" in out
    assert "one" not in out


def test_the_terminal_is_as_before_afterwards_and_the_last_screen_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also after Ctrl-C: the cursor is back, and what was seen last can be scrolled to and copied."""
    with pytest.raises(KeyboardInterrupt), redrawn(console()) as show:
        show(lines("one", "two"))
        raise KeyboardInterrupt
    out = capsys.readouterr().out
    assert out.startswith("\x1b[?1049h\x1b[?25l")
    assert out.partition("\x1b[?25h\x1b[?1049l")[2] == "one\ntwo\n"


def test_a_ledger_that_is_away_for_a_while_does_not_end_the_watching() -> None:
    """A person who watches a restart of the server sees the last states with the error, then the new ones."""
    answers: list[StatusView | PgsnowError] = [
        StatusView([{"table": "a"}], NOW, "fresh", "All is well."),
        LedgerUnavailable("the ledger does not answer"),
        StatusView([{"table": "b"}], NOW, "fresh", "All is well."),
        LedgerAccessDenied("no privilege"),
    ]

    def look() -> StatusView:
        answer = answers.pop(0)
        if isinstance(answer, PgsnowError):
            raise answer
        return answer

    views = status._views(look, is_redrawn=True)
    first, away, back = next(views), next(views), next(views)
    assert (first.word, away.word, back.word) == ("fresh", "unknown", "fresh")
    assert away.records == first.records
    assert "does not answer" in away.reason
    with pytest.raises(LedgerAccessDenied):
        next(views)
    answers[:] = [LedgerUnavailable("the ledger does not answer")]
    with pytest.raises(LedgerUnavailable):
        next(status._views(look, is_redrawn=True))
