"""A transform that refuses some rows."""

from __future__ import annotations

from typing import Any


def refuse_bad_names(row: dict[str, Any]) -> dict[str, Any]:
    if row["name"] == "bad":
        raise ValueError("a bad name")
    return row
