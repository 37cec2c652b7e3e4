"""The phases of a run as one horizontal bar, in the order in which a run has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pgsnow.integrations.fastapi.charts.frame import ChartText, chart
from pgsnow.integrations.fastapi.charts.svg import element, percent
from pgsnow.model.duration import approximate_duration

HEIGHT = 28
PLACES = {
    "source": ("plan", "probe", "read"),
    "worker": ("transform", "write", "quarantine", "checkpoint"),
    "upload": ("put",),
    "snowflake": ("connect", "prepare", "copy", "insert", "merge", "replace", "verify", "sweep"),
    "other": (),
}
"""Where a phase spends its time; its colour stands for the place."""
ORDER = (
    "plan", "probe", "connect", "prepare", "read", "transform", "write", "quarantine", "put",
    "copy", "insert", "merge", "replace", "checkpoint", "verify", "sweep", "other",
)  # fmt: skip
OTHER = "other"
"""The part of a run's duration that no phase accounts for."""


@dataclass(frozen=True, slots=True)
class PhasePart:
    """One phase of a run: its seconds, their share of the run (0 to 1), and where they were spent."""

    name: str
    seconds: float
    share: float
    place: str


def phase_parts(phases: Mapping[str, float], seconds: float) -> list[PhasePart]:
    """The phases in a run's order, with the rest of its duration as `other`; their shares add up to 1. Empty if the
    run took no time. An unknown phase comes after those that are known."""
    known = {name: spent for name, spent in phases.items() if spent > 0}
    rest = seconds - sum(known.values())
    total = max(seconds, sum(known.values()))
    if total <= 0:
        return []
    if rest > 0.01 * total:
        known[OTHER] = known.get(OTHER, 0.0) + rest
    whole = sum(known.values())
    names = sorted(known, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return [PhasePart(name, known[name], known[name] / whole, _place(name)) for name in names]


def phase_bar(text: ChartText, parts: list[PhasePart]) -> Markup:
    """One segment per phase, as wide as its share, with a tooltip; empty without parts."""
    if not parts:
        return Markup("")
    drawn, left = [], 0.0
    for part in parts:
        tip = f"{part.name}: {approximate_duration(part.seconds)} ({part.share:.0%})"
        rectangle = element(
            "rect", x=percent(left), width=percent(part.share), y=0, height=HEIGHT, class_=f"p-{part.place}"
        )
        drawn.append(element("g", element("title", tip), rectangle))
        left += part.share
    return chart(text, *drawn, height=HEIGHT, class_="chart phases")


def _place(name: str) -> str:
    return next((place for place, names in PLACES.items() if name in names), OTHER)
