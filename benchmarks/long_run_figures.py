"""Figures that the long run samples: whether they grow, and a picture of them (SVG)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GROWTH = 0.05
"""Growth in the second half, as a share of the mean, that still counts as flat."""
WIDTH, HEIGHT, COLUMNS, MARGIN = 300, 110, 2, 50


@dataclass(frozen=True, slots=True)
class Figure:
    """One sampled value, by its name in a sample."""

    name: str
    title: str


FIGURES = (
    Figure("rss_mb", "memory, MB"),
    Figure("descriptors", "file descriptors"),
    Figure("threads", "threads"),
    Figure("connections", "connections to the source"),
    Figure("sessions", "sessions in Snowflake"),
    Figure("ledger_mb", "ledger, MB"),
    Figure("log_rows", "rows of sync_logs"),
    Figure("stage_files", "files in the stage"),
    Figure("stage_mb", "stage, MB"),
    Figure("retained_mb", "log held back by the slot, MB"),
)


@dataclass(frozen=True, slots=True)
class Slope:
    """first, last: medians of the first and the last quarter. growth: of a line through the second half, from its
    beginning to its end, as a share of the mean. varies: the standard deviation around that line, as the same share."""

    first: float
    last: float
    growth: float
    varies: float

    @property
    def flat(self) -> bool:
        return self.growth < max(GROWTH, self.varies)


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """points: (hours, value) by time; at least eight."""
    quarter, second = len(points) // 4, points[len(points) // 2 :]
    times, values = [at for at, _ in second], [value for _, value in second]
    slope, start = statistics.linear_regression(times, values)
    mean = statistics.fmean(values) or 1.0
    around = statistics.pstdev(value - (start + slope * at) for at, value in second)
    return Slope(
        statistics.median(value for _, value in points[:quarter]),
        statistics.median(value for _, value in points[-quarter:]),
        slope * (times[-1] - times[0]) / mean,
        around / mean,
    )


def read_samples(file: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def plot(samples: Sequence[dict[str, float]]) -> str:
    """A small diagram for each figure, over the hours."""
    rows = -(-len(FIGURES) // COLUMNS)
    width, height = COLUMNS * (WIDTH + MARGIN + 20), rows * (HEIGHT + MARGIN)
    panels = "".join(
        _panel(
            figure, samples, 45 + at % COLUMNS * (WIDTH + MARGIN + 20), 24 + at // COLUMNS * (HEIGHT + MARGIN)
        )
        for at, figure in enumerate(FIGURES)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        f' font-size="11"><rect width="{width}" height="{height}" fill="#fff"/>{panels}</svg>\n'
    )


def _panel(figure: Figure, samples: Sequence[dict[str, float]], left: int, top: int) -> str:
    hours, most = samples[-1]["hours"] or 1.0, max(one[figure.name] for one in samples) * 1.15 or 1.0
    points = " ".join(
        f"{left + one['hours'] / hours * WIDTH:.1f},{top + HEIGHT - one[figure.name] / most * HEIGHT:.1f}"
        for one in samples[:: max(1, len(samples) // 400)]
    )
    return (
        f'<text x="{left}" y="{top - 6}" font-weight="bold">{figure.title}</text>'
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
        f'<text x="{left - 4}" y="{top + 9}" text-anchor="end">{most:.3g}</text>'
        f'<text x="{left - 4}" y="{top + HEIGHT}" text-anchor="end">0</text>'
        f'<text x="{left + WIDTH}" y="{top + HEIGHT + 13}" text-anchor="end">{hours:.1f} hours</text>'
        f'<polyline points="{points}" fill="none" stroke="#2a6fb0"/>'
    )
