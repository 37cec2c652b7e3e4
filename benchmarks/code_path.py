"""Counts the code that one tick runs through: `python -m benchmarks.code_path`.

For an idle and a busy tick of one table, in an engine that has already run both: the source files of which a function
was called, the functions (by their definition; comprehensions belong to the function around them), and the largest
number of the package's own frames on the stack at once. `--list` prints the files with their functions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import psycopg

import pgsnow
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine

PACKAGE = str(Path(pgsnow.__file__).parent)
IMPLICIT = {"<module>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<lambda>"}
TABLE = """
create table users (id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp());
insert into users select g, 'n' || g from generate_series(1, 5000) g;
create index on users (updated_at);
analyze
"""
CHANGE = "update users set name = name || 'x', updated_at = clock_timestamp() where id <= 1000"
CONFIG = {
    "tables": [
        {"source": "public.users", "target": "analytics.users", "pk": "id", "watermark_column": "updated_at"}
    ]
}


class CodePath:
    """Records the package's functions that run in the block, also in threads that start in it."""

    def __init__(self) -> None:
        self.functions: set[CodeType] = set()
        self.depth = 0

    def __enter__(self) -> CodePath:
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    @property
    def files(self) -> dict[str, list[str]]:
        """The names of the functions that ran, by file."""
        found: dict[str, list[str]] = defaultdict(list)
        for code in self.functions:
            found[str(Path(code.co_filename).relative_to(PACKAGE))].append(code.co_qualname)
        return {file: sorted(found[file]) for file in sorted(found)}

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _is_counted(frame.f_code):
            self.functions.add(frame.f_code)
            self.depth = max(self.depth, _depth(frame))


def _is_counted(code: CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE) and code.co_name not in IMPLICIT


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += _is_counted(frame.f_code)
        frame = frame.f_back
    return depth


def traced(engine: Engine, status: str) -> CodePath:
    with CodePath() as path:
        report = engine.tick()
    if [table.status.value for table in report.tables] != [status]:
        raise SystemExit(f"the tick was expected to end with {status}: {report}")
    return path


def measure() -> dict[str, CodePath]:
    """By "idle" and "busy"."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = stack.env()
        config = parse_config(CONFIG, file="benchmark", env={})
        with psycopg.connect(env["POSTGRES_DSN"], autocommit=True) as conn:
            conn.execute(TABLE)
            with Engine(config, Settings.from_env(env)) as engine:
                change: Callable[[], Any] = lambda: conn.execute(CHANGE)  # noqa: E731
                engine.tick()
                change()
                engine.tick()
                engine.tick()
                change()
                return {"busy": traced(engine, "ok"), "idle": traced(engine, "idle")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the files and their functions")
    listed = parser.parse_args().list
    for name, path in measure().items():
        print(f"{name}: {len(path.files)} files, {len(path.functions)} functions, {path.depth} frames deep")
        for file, functions in path.files.items() if listed else ():
            print(f"  {file}: {', '.join(functions)}")


if __name__ == "__main__":
    main()
