"""The newest runs of a table as a strip of small bars, oldest on the left, with a height and colour by their status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.svg import element
from pgsnow.model.report import Status

BARS = 20
STEP, BREADTH, HEIGHT = 6, 4, 18
LOOKS: dict[str, tuple[str, int]] = {
    Status.OK: ("ok", 12),
    "applied": ("ok", 12),
    Status.PARTIAL: ("partial", 15),
    Status.ERROR: ("error", 18),
    Status.IDLE: ("idle", 4),
}
"""Class and height of a bar by the status of its run. Failures are the tallest, so they show without colour, too."""
WAITING = ("waiting", 8)
"""Any other status: the run left the table alone, or was stopped."""


def run_strip(statuses: Sequence[str]) -> Markup:
    """statuses: of the newest runs, oldest first; at most BARS are drawn, the newest at the right edge. Bars that look
    the same are one path, because an overview has hundreds of strips."""
    newest = list(statuses)[-BARS:]
    paths: dict[str, str] = {}
    for place, status in enumerate(newest, start=BARS - len(newest)):
        look, height = LOOKS.get(status, WAITING)
        bar = f"M{place * STEP} {HEIGHT - height}h{BREADTH}v{height}h-{BREADTH}z"
        paths[look] = paths.get(look, "") + bar
    width = BARS * STEP - (STEP - BREADTH)
    return element(
        "svg",
        element("title", strip_text(newest)),
        *(element("path", d=d, class_=f"s-{look}") for look, d in paths.items()),
        class_="strip",
        width=width,
        height=HEIGHT,
        view_box=f"0 0 {width} {HEIGHT}",
        role="img",
    )


def strip_text(statuses: Sequence[str]) -> str:
    """`last 20 runs: 18 idle, 2 error`, or `no run yet`."""
    if not statuses:
        return "no run yet"
    counts = ", ".join(f"{count} {status}" for status, count in Counter(statuses).most_common())
    return f"last {len(statuses)} runs: {counts}" if len(statuses) > 1 else f"last run: {statuses[0]}"
