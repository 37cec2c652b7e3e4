"""Writes the `.env` with the settings of embedded servers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

HEADER = "# Written by `pgsnow dev up`; written again at each start.\n"
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,")


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file atomically; it is readable by its owner alone."""
    handle, name = tempfile.mkstemp(prefix=".env-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(HEADER)
            file.writelines(f"{key}={_quoted(value)}\n" for key, value in values.items())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _quoted(value: str) -> str:
    if value and set(value) <= PLAIN:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
