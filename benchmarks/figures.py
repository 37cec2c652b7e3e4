"""Measured figures as JSON lines, so that an interrupted measurement loses none of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.peers.venvs import cache

DEFAULT = cache() / "figures.jsonl"


class Figures:
    """Appends figures to a file, and prints each on stdout."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or DEFAULT
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def forget(self, kinds: Collection[str]) -> None:
        """Remove the figures of these kinds that earlier runs found."""
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
