"""Figures as they were measured: one JSON object a line, so that a run that is cut short loses none."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.peers.venvs import cache

DEFAULT = cache() / "figures.jsonl"


class Figures:
    """Appends to a file, and tells each figure on stdout."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or DEFAULT
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def forget(self, kinds: Collection[str]) -> None:
        """Leave out what earlier runs found of these kinds."""
        kept = [line for line in read(self._file) if line["kind"] not in kinds]
        self._file.write_text("".join(f"{json.dumps(line)}\n" for line in kept))

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
