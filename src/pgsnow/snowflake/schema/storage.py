"""How a target is stored: its kind (transient or permanent) and its clustering key, compared with the configuration.

A run uses both only for a new target. `pgsnow apply` changes the clustering key of an existing one; nothing changes its
kind, as Snowflake cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetState, fold_target
from pgsnow.snowflake.sql import statements as sql

TRANSIENT = "TRANSIENT"
_LINEAR = re.compile(r"\s*LINEAR\s*\((?P<key>.*)\)\s*\Z", re.IGNORECASE | re.DOTALL)
_NAME = r'\s*("(?:[^"]|"")+"|[A-Za-z_][\w$]*)\s*'
_NAMES = re.compile(rf"{_NAME}(?:,{_NAME})*\Z")


def clustering_changes(plan: TablePlan, state: TargetState) -> tuple[str, ...]:
    """The statement that gives an existing target the clustering key of its plan; none if it has it, or if none is
    configured: a key that a person has chosen stays then. None, too, while the source lacks a column of it."""
    names = plan.clustered
    if not names or plan.dropped_clustering or _same(clustered_by(state.cluster_by), names):
        return ()
    return (sql.change_clustering(plan.target, names),)


def clustered_by(shown: str) -> list[str] | None:
    """The columns of a clustering key as SHOW TABLES writes it, such as `LINEAR(DAY, "Id")`; None: there is none, or it
    has expressions."""
    found = _LINEAR.match(shown)
    if found is None or _NAMES.match(found["key"]) is None:
        return None
    return [fold_target(name) for name in re.findall(_NAME, found["key"])]


def _same(there: Sequence[str] | None, names: Sequence[str]) -> bool:
    """Case is ignored: no two columns of a target differ in case alone, and SHOW may leave the quotes out."""
    return there is not None and [name.upper() for name in there] == [name.upper() for name in names]


def storage_text(plan: TablePlan, state: TargetState | None) -> str:
    """A phrase about the kind of the target; state: of an existing one."""
    if state is not None:
        return "transient" if state.kind == TRANSIENT else "permanent"
    if not plan.transient:
        return "permanent"
    if plan.config.transient:
        return "transient (no Fail-safe)"
    return (
        "transient (no Fail-safe, which would keep each replaced content for 7 days; a permanent one:"
        " `transient: false`)"
    )


def storage_warnings(plan: TablePlan, state: TargetState | None) -> tuple[str, ...]:
    """Sentences about an existing target that is not of the configured kind; none: it is, or none is configured."""
    wanted = plan.config.transient
    if state is None or wanted is None or wanted == (state.kind == TRANSIENT):
        return ()
    there, kind = ("permanent", "transient") if wanted else ("transient", "permanent")
    return (
        f"the target {plan.target} is {there}, and `transient: {str(wanted).lower()}` concerns new targets only: to get"
        f" a {kind} one, drop it; the next run creates it again and loads everything (grants on it must be repeated)",
    )
