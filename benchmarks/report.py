"""Writes the figures as Markdown between the markers of docs/benchmarks.md: `python -m benchmarks.report`."""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import read
from benchmarks.machine import machine, versions
from benchmarks.peers.behaviour import ANSWERS, TOOLS

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures: {} -->", "<!-- end of {} -->"
WORKS = ("W1", "W2", "W3")
WARM = "pgsnow, warm worker"
Line = dict[str, Any]


def main() -> int:
    figures = read()
    page = PAGE.read_text()
    for name, section in SECTIONS.items():
        text = section(figures)
        if text:
            page = filled(page, name, text)
    PAGE.write_text(page)
    return 0


def filled(page: str, name: str, text: str) -> str:
    """The page with this text between the markers of this name. Raises ValueError where they are missing."""
    begin, end = BEGIN.format(name), END.format(name)
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE.name}: no markers for {name}")
    return pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", page)


def of(figures: Iterable[Line], kind: str) -> list[Line]:
    return [line for line in figures if line["kind"] == kind]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def middle(lines: Sequence[Line], figure: str) -> float:
    return float(statistics.median(line[figure] for line in lines))


def conditions(figures: list[Line]) -> str:
    if not figures:
        return ""
    return f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}. {versions()}."


def whole_jobs(figures: list[Line]) -> str:
    """A table with a row for each tool and three cells for each job; below it, how much faster pgsnow is."""
    runs: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in of(figures, "whole_job"):
        runs[line["tool"]][line["work"]].append(line)
    if not runs:
        return ""
    known = {line["tool"]: line["version"] for line in of(figures, "version")}
    rows = [
        [f"{tool} ({known.get(tool, '?')})", *(cell(works[work]) for work in WORKS)]
        for tool, works in runs.items()
    ]
    head = ["", "W1 first load", "W2 10,000 updated", "W3 nothing changed"]
    failed = {line["tool"]: line["why"] for line in of(figures, "failed")}
    missing = [
        f"- {tool} did not run: {why.replace('|', '/')[:200]}"
        for tool, why in failed.items()
        if tool not in runs
    ]
    return "\n".join([table(head, rows), "", ratios(runs), "", *missing])


def cell(lines: list[Line]) -> str:
    """wall / client's CPU / peak memory; emulator's CPU; statements."""
    if not lines:
        return "–"
    mark = "" if lines[0]["rows"] == 1_000_000 else f" ({lines[0]['rows']:,} rows)"
    walls = [line["wall"] for line in lines]
    return (
        f"{statistics.median(walls):.2f} / {middle(lines, 'cpu'):.2f} / {middle(lines, 'rss_mb'):.0f};"
        f" {middle(lines, 'emulator_cpu'):.2f}; {middle(lines, 'statements'):.0f}{mark}"
    )


def ratios(runs: dict[str, dict[str, list[Line]]]) -> str:
    """Ratios of the quickest other tool to each way of running pgsnow, by wall and by the client's CPU."""
    ours = [tool for tool in runs if tool.startswith("pgsnow")]
    others = (
        [
            tool
            for tool in runs
            if tool not in ours and runs[tool]["W1"][0]["rows"] == runs[ours[0]]["W1"][0]["rows"]
        ]
        if ours
        else []
    )
    if not others:
        return ""
    rows = []
    for tool in ours:
        row: list[object] = [f"quickest other / {tool}"]
        for work in WORKS:
            best = [min(middle(runs[other][work], figure) for other in others) for figure in ("wall", "cpu")]
            mine = [middle(runs[tool][work], figure) for figure in ("wall", "cpu")]
            row.append(f"{best[0] / mine[0]:.1f} × wall, {best[1] / mine[1]:.1f} × CPU")
        rows.append(row)
    return table(["", *WORKS], rows)


def parts(figures: list[Line]) -> str:
    """The parts of W1 that no tool can avoid, and pgsnow's seconds by phase."""
    lines = of(figures, "unavoidable")
    warm = [line for line in of(figures, "whole_job") if line["tool"] == WARM and line["work"] == "W1"]
    if not lines or not warm:
        return ""
    names = {"read": "psql's COPY into /dev/null", "put": "PUT of pgsnow's files", "copy": "COPY of them"}
    took = {part: middle([line for line in lines if line["part"] == part], "wall") for part in names}
    whole, ours = sum(took.values()), middle(warm, "wall")
    rows = [[names[part], f"{seconds:.2f}"] for part, seconds in took.items()]
    rows += [
        ["together", f"{whole:.2f}"],
        ["pgsnow's W1, warm worker", f"{ours:.2f}"],
        ["ratio", f"{ours / whole:.2f}"],
    ]
    typical = sorted(warm, key=lambda line: float(line["wall"]))[len(warm) // 2]
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in typical["told"]["phases"].items())
    return f"{table(['W1', 'seconds'], rows)}\n\nPhases of the median run, in seconds: {phases}."


def scaling(figures: list[Line]) -> str:
    found = of(figures, "rows")
    rows = [[f"{line['rows']:,}", line["seconds"], f"{line['peak_mb']:.0f}"] for line in found]
    return table(["rows, first load", "seconds", "peak memory, MB"], rows) if rows else ""


def workers(figures: list[Line]) -> str:
    """A table with a row for each number of workers; below it, the size of the job."""
    found = of(figures, "workers")
    if not found:
        return ""
    rows = [
        [
            line["workers"],
            f"{line['seconds']:.1f}",
            f"{found[0]['seconds'] / line['seconds']:.2f}",
            *(f"{line[part]:.1f}" for part in ("workers_cpu", "postgres_cpu", "emulator_cpu")),
            f"{line['rss_mb']:.0f}",
            " + ".join(map(str, line["tables_taken"])),
            " + ".join(map(str, line["chunks_taken"])),
        ]
        for line in found
    ]
    head = ["workers", "seconds", "× of the first", "workers' CPU s", "Postgres's", "emulator's"]
    head += ["a worker's peak memory, MB", "tables taken by each", "chunks taken by each"]
    job = found[0]
    what = f"The job: {job['tables']} tables of {job['rows']:,} rows, and one of {job['large']:,}."
    return f"{table(head, rows)}\n\n{what}"


def idle(figures: list[Line]) -> str:
    rows = [
        [
            f"{line['tables']:,}",
            f"{line['median_seconds']:.3f}",
            f"{line['median_cpu']:.3f}",
            line["postgres_connections"],
            line["snowflake_logins"],
            line["snowflake_statements"],
        ]
        for line in of(figures, "idle")
    ]
    head = [
        "idle tables",
        "seconds a tick",
        "CPU s",
        "Postgres connections at once",
        "Snowflake logins",
        "statements",
    ]
    return table(head, rows) if rows else ""


def statements(figures: list[Line]) -> str:
    rows = [
        [
            line["tick"],
            line["sent"],
            line["logins"],
            ", ".join(f"{verb} {n}" for verb, n in line["verbs"].items()) or "–",
        ]
        for line in of(figures, "statements")
    ]
    return table(["tick", "statements", "logins", "which"], rows) if rows else ""


def latency(figures: list[Line]) -> str:
    rows = [
        [
            line["tables"],
            f"{1000 * line['delay']:.0f} ms",
            line["tick"],
            f"{line['seconds']:.1f}",
            f"{line['cpu']:.2f}",
            line["statements"],
            line["logins"],
        ]
        for line in of(figures, "latency")
    ]
    head = ["tables", "each reply late by", "tick", "seconds", "CPU s", "statements", "logins"]
    return table(head, rows) if rows else ""


def behaviour(figures: list[Line]) -> str:
    lines = of(figures, "behaviour")
    rows = [
        [
            line["case"],
            line["shown"],
            "yes" if line["right"] else "**no**",
            *ANSWERS.get(line["case"], ["–"] * len(TOOLS)),
        ]
        for line in lines
    ]
    right = f"{sum(line['right'] for line in lines)} of {len(lines)} are right."
    head = ["case", "with pgsnow, default settings", "right", *TOOLS]
    return "\n".join([right, "", table(head, rows)]) if rows else ""


def reading(figures: list[Line]) -> str:
    rows = [
        [line["way"], f"{line['seconds']:.2f}", f"{line['cpu']:.2f}", f"{line['rss_mb']:.0f}", line["note"]]
        for line in of(figures, "reading")
    ]
    missing = [
        f"- {line['way']} could not be run: {line['why'].replace('|', '/')}"
        for line in of(figures, "no_reading")
    ]
    head = ["way", "seconds", "client CPU s", "peak memory, MB", ""]
    return "\n".join([table(head, rows), "", *missing]) if rows else ""


SECTIONS = {
    "conditions": conditions,
    "whole jobs": whole_jobs,
    "unavoidable parts": parts,
    "reading": reading,
    "rows": scaling,
    "idle tables": idle,
    "workers": workers,
    "statements": statements,
    "latency": latency,
    "behaviour": behaviour,
}

if __name__ == "__main__":
    sys.exit(main())
