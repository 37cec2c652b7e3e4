"""SHOW WAREHOUSES. Warehouses never suspend here by themselves, and cost nothing; their settings are only shown."""

from __future__ import annotations

import re
from typing import Any

from fakesnow.expr import normalise_ident

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text
from pgsnow.embedded.snowflake.hooks.session_state import state_of
from pgsnow.embedded.snowflake.stages.stages import answer_of
from pgsnow.embedded.snowflake.statements.gaps import IDENTIFIER
from pgsnow.embedded.snowflake.statements.limits import names_of

SETTINGS = "_fs_global._fs_information_schema._pgsnow_warehouses"
SHOW = re.compile(
    r"\s*show\s+warehouses(?:\s+like\s+'(?P<like>(?:[^'\\]|\\.|'')*)')?\s*;?\s*\Z", re.IGNORECASE
)
CHANGE = re.compile(
    rf"\s*(?P<how>create|alter)\s+(?:or\s+replace\s+)?warehouse\s+(?:if\s+(?:not\s+)?exists\s+)?(?P<name>{IDENTIFIER})"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
OPTION = re.compile(
    r"\b(warehouse_size|auto_suspend|auto_resume|initially_suspended|resource_monitor|comment)\s*=\s*('[^']*'|\"[^\"]*\"|\w+)",
    re.IGNORECASE,
)
STATE = re.compile(r"\s*(suspend|resume)\b", re.IGNORECASE)
SIZES = {"XSMALL": "X-Small", "SMALL": "Small", "MEDIUM": "Medium", "LARGE": "Large", "XLARGE": "X-Large"}
DEFAULTS = {"WAREHOUSE_SIZE": "XSMALL", "AUTO_SUSPEND": "60", "AUTO_RESUME": "true", "STATE": "STARTED"}
"""AUTO_SUSPEND is that which costs are estimated for, not Snowflake's own 600: `pgsnow check` compares the two."""
COLUMNS = (
    *(
        "name",
        "state",
        "type",
        "size",
        "min_cluster_count",
        "max_cluster_count",
        "started_clusters",
        "running",
        "queued",
    ),
    *("is_default", "is_current", "auto_suspend", "auto_resume", "owner", "comment", "resource_monitor"),
)
"""Snowflake's columns that have a meaning here (Snowflake docs, "SHOW WAREHOUSES", output)."""


def show_warehouses() -> None:
    """Stock: SHOW WAREHOUSES shows one invented warehouse. Here: those that there are, with the settings that CREATE
    and ALTER WAREHOUSE gave them."""
    rewrite_text(_note)
    rewrite_text(_show)


def _note(cursor: Any, command: str) -> str | None:
    match = CHANGE.match(command)
    if match is None:
        return None
    options = {name.upper(): value.strip("'\"") for name, value in OPTION.findall(match["rest"])}
    if options.pop("INITIALLY_SUSPENDED", "").upper() == "TRUE":
        options["STATE"] = "SUSPENDED"
    if state := STATE.match(match["rest"]):
        options["STATE"] = {"SUSPEND": "SUSPENDED", "RESUME": "STARTED"}[state[1].upper()]
    name = normalise_ident(match["name"])
    if match["how"].upper() == "CREATE" and name in names_of(cursor, "WAREHOUSE"):
        return None
    cursor._duck_conn.execute(
        f"CREATE TABLE IF NOT EXISTS {SETTINGS} (name VARCHAR, option VARCHAR, value VARCHAR)"
    )
    for option, value in options.items():
        cursor._duck_conn.execute(f"DELETE FROM {SETTINGS} WHERE name = ? AND option = ?", [name, option])  # noqa: S608
        cursor._duck_conn.execute(f"INSERT INTO {SETTINGS} VALUES (?, ?, ?)", [name, option, value])  # noqa: S608
    return None


def _show(cursor: Any, command: str) -> str | None:
    match = SHOW.match(command)
    if match is None:
        return None
    like = None if match["like"] is None else match["like"].replace("\\\\", "\\")
    names = sorted(
        name for name in names_of(cursor, "WAREHOUSE") if like is None or _is_like(cursor, name, like)
    )
    return answer_of(COLUMNS, [_row(cursor, name) for name in names])


def _is_like(cursor: Any, name: str, like: str) -> bool:
    return bool(cursor._duck_conn.execute("SELECT ? ILIKE ? ESCAPE '\\'", [name, like]).fetchall()[0][0])


def _row(cursor: Any, name: str) -> tuple[Any, ...]:
    there = cursor._duck_conn.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = '_pgsnow_warehouses'"
    ).fetchone()
    noted = f"SELECT option, value FROM {SETTINGS} WHERE name = ?"  # noqa: S608
    set_so = dict(cursor._duck_conn.execute(noted, [name]).fetchall()) if there else {}
    options = {**DEFAULTS, **set_so}
    size = options["WAREHOUSE_SIZE"].upper().replace("-", "")
    current = "Y" if state_of(cursor._conn).warehouse == name else "N"
    return (
        *(
            name,
            options["STATE"],
            "STANDARD",
            SIZES.get(size, size),
            1,
            1,
            int(options["STATE"] == "STARTED"),
            0,
            0,
        ),
        *("N", current, int(options["AUTO_SUSPEND"]), options["AUTO_RESUME"].lower(), "SYSADMIN"),
        *(options.get("COMMENT", ""), options.get("RESOURCE_MONITOR", "null")),
    )
