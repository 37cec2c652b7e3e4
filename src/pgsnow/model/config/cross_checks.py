"""Rules between keys of a table, and between tables.

They also accept data with other problems, so that all problems can be reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pgsnow.model.config.interpolation import Path
from pgsnow.model.config.options import Deletes, OnDetach
from pgsnow.model.config.problems import Problems, display_path
from pgsnow.model.config.table_config import WHOLE_MODES, LateRows, LoadMethod, LoadVia, TableMode
from pgsnow.model.duration import parse_duration
from pgsnow.model.table import SourceName, TargetName
from pgsnow.model.types.overflow import NEVER_OF_KEYS

Table = Mapping[str, Any]
_NO_KEY = (None, *(str(choice) for choice in NEVER_OF_KEYS))


def check_tables(
    tables: Mapping[int, Table], problems: Problems, *, budget: bool = False, at_once: bool = False
) -> None:
    """Adds violations to `problems`. tables: index in the file → entry, defaults included. budget: the file has one.
    at_once: it has `consistency: tick`."""
    _distinct(tables, "name", _name_of, "name", problems)
    _distinct(tables, "target", _target_of, "target", problems)
    for at, table in tables.items():
        path: Path = ("tables", at)
        _check_mode(table, path, problems)
        _check_log(table, path, problems)
        _check_deferral(table, path, problems)
        if at_once and _is_deferred(table):
            problems.add(
                (*path, "load_every"),
                "lets rows wait, so that tables could not change together — leave it out, or write"
                " `consistency: table`",
            )
        _check_live_view(table, path, problems, budget=budget)
        _check_insert_only(table, path, problems)
        _check_verification(table, path, problems)
        _check_deletes(table, path, problems)
        _check_columns(table, path, problems)
        _check_transform(table, path, problems)


def _distinct(
    tables: Mapping[int, Table], key: str, value_of: Callable[[Table], object], what: str, problems: Problems
) -> None:
    first: dict[object, int] = {}
    for at, table in tables.items():
        value = value_of(table)
        if value is None:
            continue
        if value not in first:
            first[value] = at
            continue
        other = display_path(("tables", first[value]))
        if key == "name" and table.get("name") is None:
            problems.add(
                ("tables", at, "source"),
                f"is also the source of {other} — remove one, or give this one its own `name:`",
            )
        else:
            problems.add(("tables", at, key), f"is also the {what} of {other} — change one of them")


def _name_of(table: Table) -> object:
    name = table.get("name")
    if isinstance(name, str):
        return str(name)
    source = table.get("source")
    try:
        return str(SourceName.parse(source)) if isinstance(source, str) else None
    except ValueError:
        return None


def _target_of(table: Table) -> object:
    target = table.get("target")
    try:
        return TargetName.parse(target) if isinstance(target, str) else None
    except ValueError:
        return None


def _check_mode(table: Table, path: Path, problems: Problems) -> None:
    watermark = str(TableMode.WATERMARK)
    if table.get("mode", watermark) == watermark and table.get("watermark_column") is None:
        problems.add(
            (*path, "watermark_column"),
            "is missing — name the column that grows with each change, such as `watermark_column: updated_at`, or"
            " write `mode: xmin` if there is none",
        )


_NOT_WITH_LOG = {
    "every": "the log is read once for all tables — leave it out, or write `load_every:` to load less often",
    "insert_only": "the log has updates and deletes, too — write `mode: xmin`, or leave it out",
    "live_view": "its view does not show deletes — leave it out, or write another mode",
}


def _check_log(table: Table, path: Path, problems: Problems) -> None:
    if table.get("mode") != str(TableMode.LOG):
        return
    here = "cannot be used with mode log: "
    for key, advice in _NOT_WITH_LOG.items():
        given = _seconds(table, key) if key == "every" else table.get(key) is True
        if given:
            problems.add((*path, key), here + advice)
    late = table.get("late_rows")
    if late is False or late in (str(LateRows.LOOKBACK), str(LateRows.OFF)):
        problems.add(
            (*path, "late_rows"),
            here + "it misses no row, and is read without gaps where it is left — leave it out",
        )
    if table.get("load") == str(LoadMethod.INSERT):
        problems.add(
            (*path, "load"), here + "its changes are staged as files — write `load: stage` or `load: s3`"
        )
    transform = table.get("transform")
    function = transform if isinstance(transform, str) else _mapping(transform).get("function")
    if function:
        problems.add(
            (*path, "transform"),
            here + "the log leaves out columns that did not change, and a function may need them — write"
            " declarations (hash, mask, set_null, cast, rename), or another mode",
        )
    if hashed := sorted(_names(_mapping(transform).get("hash")) & _names(table.get("pk"))):
        problems.add(
            (*path, "transform", "hash"),
            here
            + f"{', '.join(hashed)} belongs to pk, which must stay as it is — leave it out, or write another mode",
        )


def _check_deferral(table: Table, path: Path, problems: Problems) -> None:
    for key in ("load_when_rows", "load_when_mb"):
        if table.get(key) is not None and table.get("load_every") is None:
            problems.add(
                (*path, key),
                "needs `load_every:`, the longest time that rows may wait — add it, such as `load_every: 10m`",
            )
    if (most := _seconds(table, "max_lag")) is not None:
        least = (_seconds(table, "every") or 0) + (_seconds(table, "load_every") or 0)
        if most <= least:
            problems.add(
                (*path, "max_lag"),
                "is not longer than `every` and `load_every` together, which are waited for in any case — write a"
                " longer one",
            )
    if not _is_deferred(table):
        return
    here = (*path, "load_every")
    if (mode := table.get("mode")) in {str(mode) for mode in WHOLE_MODES}:
        problems.add(
            here,
            f"cannot be used with mode {mode}, which loads everything at once — write `every:` instead, or `0`",
        )
    if table.get("load") == str(LoadMethod.INSERT):
        problems.add(here, "needs files in a stage — write `load: stage` or `load: s3`")


def _check_live_view(table: Table, path: Path, problems: Problems, *, budget: bool) -> None:
    if table.get("live_view") is not True:
        return
    here, mode = (*path, "live_view"), table.get("mode")
    if mode in {str(mode) for mode in WHOLE_MODES}:
        problems.add(here, f"cannot be used with mode {mode}, whose rows never wait — leave it out")
    elif not (_is_deferred(table) or budget):
        problems.add(here, "needs rows that wait to be loaded — add `load_every:`, such as `load_every: 10m`")
    if table.get("load_via") == str(LoadVia.TABLE):
        problems.add(
            here, "reads the files itself, so it cannot be used with `load_via: table` — leave that out"
        )


def _check_insert_only(table: Table, path: Path, problems: Problems) -> None:
    if table.get("insert_only") is not True:
        return
    here, mode, late = (*path, "insert_only"), table.get("mode"), table.get("late_rows")
    if mode in {str(mode) for mode in WHOLE_MODES}:
        problems.add(
            here, f"cannot be used with mode {mode}, which reads every row again — write `mode: xmin`"
        )
    if late is False or late in (str(LateRows.LOOKBACK), str(LateRows.OFF)):
        problems.add(
            here, "needs `late_rows: lossless`, the only way that reads each row once — leave `late_rows` out"
        )
    if table.get("load") == str(LoadMethod.INSERT):
        problems.add(here, "needs files in a stage — write `load: stage` or `load: s3`")


def _check_verification(table: Table, path: Path, problems: Problems) -> None:
    for key in ("verify_budget_seconds", "verify_repair"):
        if table.get(key) not in (None, False) and table.get("verify_every") is None:
            problems.add(
                (*path, key),
                "needs `verify_every:`, the time in which the whole table is compared once — add it, such as"
                " `verify_every: 7d`",
            )


def _check_deletes(table: Table, path: Path, problems: Problems) -> None:
    deletes, here = table.get("deletes"), (*path, "deletes")
    if deletes == str(Deletes.HARD) and table.get("on_detach") == str(OnDetach.KEEP):
        problems.add(
            here,
            "hard would delete the rows that `on_detach: keep` keeps — write `on_detach: delete`, or `deletes: soft`,"
            " which keeps them with a mark",
        )
    if deletes in (str(Deletes.HARD), str(Deletes.SOFT)) and table.get("mode") == str(TableMode.APPEND):
        problems.add(
            here, "cannot be used with mode append, which keeps every version of every row — write `off`"
        )


def _is_deferred(table: Table) -> bool:
    return (_seconds(table, "load_every") or 0) > 0


def _seconds(table: Table, key: str) -> float | None:
    """The duration; None if it is not set, or wrong: the value is reported on its own."""
    try:
        return None if table.get(key) is None else parse_duration(table[key])
    except ValueError:
        return None


def _check_columns(table: Table, path: Path, problems: Problems) -> None:
    columns = _mapping(table.get("columns"))
    excluded = _names(columns.get("exclude"))
    for name in sorted(excluded & _names(table.get("pk"))):
        problems.add(
            (*path, "columns", "exclude"),
            f"{name} belongs to pk — keep it, and hash it if its values are secret",
        )
    for name in sorted(excluded & _names(columns.get("include"))):
        problems.add((*path, "columns", "exclude"), f"{name} is also included — name it in one of them")
    for name in sorted(excluded & set(_mapping(columns.get("rename")))):
        problems.add((*path, "columns", "rename"), f"{name} is excluded — remove it here or there")
    overflow = _mapping(columns.get("on_overflow"))
    here = (*path, "columns", "on_overflow")
    for name in sorted(excluded & set(overflow)):
        problems.add(here, f"{name} is excluded — remove it here or there")
    for name in sorted(_names(table.get("pk")) & {name for name, how in overflow.items() if how in _NO_KEY}):
        problems.add(here, f"{name} belongs to pk, and changed keys could be equal — write reject or text")


def _check_transform(table: Table, path: Path, problems: Problems) -> None:
    transform = _mapping(table.get("transform"))
    here = (*path, "transform")
    hashed, masked, emptied = (_names(transform.get(key)) for key in ("hash", "mask", "set_null"))
    key = _names(table.get("pk"))
    if hashed and not transform.get("salt"):
        problems.add(
            (*here, "salt"),
            "is missing, and hash needs it — write `salt: ${PGSNOW_HASH_SALT}` and set that variable",
        )
    for name in sorted(masked & key):
        problems.add((*here, "mask"), f"{name} belongs to pk, and masked keys could be equal — use hash")
    for name in sorted(emptied & key):
        problems.add((*here, "set_null"), f"{name} belongs to pk, which cannot be NULL — use hash")
    for name in sorted((hashed & masked) | (hashed & emptied) | (masked & emptied)):
        problems.add(here, f"{name} is in two of hash, mask and set_null — choose one")
    for name in sorted(set(_mapping(transform.get("cast"))) & (hashed | masked)):
        problems.add((*here, "cast"), f"{name} is hashed or masked, which makes it text — remove the cast")
    for name in sorted(set(_mapping(transform.get("rename"))) & set(_mapping(_columns(table).get("rename")))):
        problems.add((*here, "rename"), f"{name} is renamed under columns too — rename it in one place")
    if transform.get("adds") and not transform.get("function"):
        problems.add((*here, "adds"), "needs a function that fills these columns — name it in `function:`")


def _columns(table: Table) -> Mapping[str, Any]:
    return _mapping(table.get("columns"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(value: object) -> set[str]:
    """Names in a text, in a list, or in the keys of a mapping; empty for anything else."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, (list, tuple, Mapping)):
        return {item for item in value if isinstance(item, str)}
    return set()
