"""Figures as they were measured: one JSON object a line, so that a run that is cut short loses none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DEFAULT = Path("benchmarks") / "figures.jsonl"


class Figures:
    """Appends to a file, and tells each figure on stdout."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or DEFAULT

    def add(self, kind: str, **values: Any) -> None:
        line = json.dumps({"kind": kind, **{name: _rounded(value) for name, value in values.items()}})
        with self._file.open("a") as file:
            file.write(f"{line}\n")
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def read(file: Path | None = None) -> list[dict[str, Any]]:
    where = file or DEFAULT
    return [json.loads(line) for line in where.read_text().splitlines()] if where.exists() else []


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
