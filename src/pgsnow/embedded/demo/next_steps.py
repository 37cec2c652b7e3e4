"""The commands that a person may type after the demo."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path

SERVED_BY_DEFAULT = Path(".pgsnow")
"""Directory whose table list `pgsnow serve` finds by itself, see pgsnow.cli.commands.web.serve."""


def next_steps(kept: Path | None) -> str:
    """Commands for the data in `kept`, and for tables of one's own; the next one to type comes last. None: the data
    are gone."""
    name = _program()
    own = f"your own tables (asks which ones, and writes a table list):\n  {name} init"
    if kept is None:
        return (
            f"\nThe demo again, with data that stay to be looked at:\n  {name} demo --keep DIR\n\nNext, {own}"
        )
    serve = f"{name} serve"
    if kept.absolute() != SERVED_BY_DEFAULT.absolute():
        serve += f" --config {kept.absolute()}/sync_config.yaml"
    text = files(__package__).joinpath("how_to_look.txt").read_text()
    look = text.replace("DIR", str(kept.absolute())).replace("  pgsnow ", f"  {name} ")
    return f"{look}\nThen {own}\n\nNext, the status page over the data of the demo:\n  {serve}"


def _program() -> str:
    """How this program is started: by its name if the shell finds it, else by its path."""
    if shutil.which("pgsnow"):
        return "pgsnow"
    path = Path(sys.argv[0])
    if path.name != "pgsnow":
        return "python -m pgsnow"
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
