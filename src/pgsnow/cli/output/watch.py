"""A screen that is drawn over itself: nothing is cleared first, and only lines that changed are written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To the terminal's second screen without a cursor, and back to what stood there before."""
BEGIN_FRAME, END_FRAME = "\x1b[?2026h", "\x1b[?2026l"
"""A terminal that knows these shows the frame at once; others ignore them."""
Show = Callable[[Sequence[Text]], None]


@contextmanager
def redrawn(console: Console) -> Iterator[Show]:
    """A function that shows lines, as many as the terminal has. At the end the last ones stay in view."""
    frames = Frames(console)
    sys.stdout.write(ENTER)
    try:
        yield frames.show
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        for line in frames.shown:
            console.print(line, soft_wrap=True)


class Frames:
    """Knows what the screen shows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._written: list[str] = []
        self._size = console.size
        self.shown: Sequence[Text] = ()

    def show(self, lines: Sequence[Text]) -> None:
        """Write what differs from the last frame, in one piece; everything after a change of the window's size."""
        if self._console.size != self._size:
            self._size, self._written = self._console.size, []
        self.shown = lines[: self._size.height - 1]
        frame = [self._styled(line) for line in self.shown]
        changes = [
            f"\x1b[{number};1H{line}\x1b[K"
            for number, line in enumerate(frame, 1)
            if number > len(self._written) or line != self._written[number - 1]
        ]
        if len(frame) < len(self._written) or not self._written:
            changes.append(f"\x1b[{len(frame) + 1};1H\x1b[J")
        self._written = frame
        if changes:
            sys.stdout.write("".join((BEGIN_FRAME, *changes, END_FRAME)))
            sys.stdout.flush()

    def _styled(self, line: Text) -> str:
        """The line with the terminal's colours, cut at its width."""
        cut = line.copy()
        cut.truncate(self._size.width, overflow="ellipsis")
        with self._console.capture() as captured:
            self._console.print(cut, end="", soft_wrap=True)
        return captured.get()
