"""Warnings about a configured table before its first load: doubts about its watermark, the cost of its reads, and
decisions about types that an analyst would not expect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgsnow.model.config.table_config import LateRows, TableConfig, TableMode
from pgsnow.model.discovery.reasons import (
    instead_of_scan,
    instead_of_whole,
    is_huge,
    is_large,
    read_whole,
    size_text,
)
from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.discovery.watermark_choice import unproven
from pgsnow.model.duration import format_duration
from pgsnow.model.plan import TablePlan
from pgsnow.model.table_key import UNPROVEN
from pgsnow.model.types.decisions import TypeDecision, decisions_of


@dataclass(frozen=True, slots=True)
class Advice:
    """A warning, and how to avoid it."""

    warning: str
    fix: str

    def __str__(self) -> str:
        return f"{self.warning} → {self.fix}"


def type_decisions(plan: TablePlan) -> tuple[TypeDecision, ...]:
    """The decisions about the types of the columns that are loaded, except those that the configuration makes."""
    return decisions_of(plan.source.columns, plan.output)


def advice_for(plan: TablePlan, table: SurveyedTable | None) -> Iterator[Advice]:
    """The warnings about a planned table. table: its survey; None if it has none, as a table of an extension."""
    if table is not None:
        yield from _on_the_watermark(plan, table)
        yield from _on_the_reads(plan, table)
    if plan.config.insert_only and (why := _why_merged(plan)):
        yield Advice(
            f"insert_only has no effect, rows are merged: {why}", "Remove the cause, or `insert_only`."
        )
    unbounded = [d for d in type_decisions(plan) if d.is_unbounded_numeric]
    for decision in unbounded:
        first = decision.columns[0]
        yield Advice(
            f"text instead of numbers in Snowflake: {decision}",
            f"`transform: {{cast: {{{first}: NUMBER(38, 9)}}}}`, or `numeric_type: NUMBER(38, 9)` for all such columns"
            " of the table or, under `defaults:`, of all tables; `pgsnow discover --profile` proposes digits. An"
            " existing target keeps its types",
        )


def _on_the_watermark(plan: TablePlan, table: SurveyedTable) -> Iterator[Advice]:
    if plan.watermark is None or table.source.relkind not in "rp":
        return
    column = plan.watermark.name
    if doubt := unproven(table, column):
        yield Advice(
            f"watermark_column {column}: {doubt}; an update that does not move it is {_found(plan.config)}",
            "`mode: xmin` finds every change; or set the column by a BEFORE UPDATE trigger. If the application moves"
            " it with every update, nothing is missing",
        )


def _found(config: TableConfig) -> str:
    """When an update that does not move the watermark is found."""
    if config.late_rows is not LateRows.LOSSLESS or config.audit_every <= 0:
        return "never found"
    return f"found by the audit only, up to {format_duration(config.audit_every)} later"


def _why_merged(plan: TablePlan) -> str:
    """The reason why rows of a table with `insert_only` are never copied; "": there is none."""
    transform = plan.config.transform
    if transform is not None and transform.function is not None:
        return "the transform has a function, which may return a key twice"
    if plan.source.relkind in UNPROVEN:
        return "nothing proves that keys of a view or a foreign table are unique"
    if not plan.has_xmin:
        return (
            f"the role may not read xmin, which shows which rows are new ({plan.source.grant_on(['xmin'])})"
        )
    return ""


def _on_the_reads(plan: TablePlan, table: SurveyedTable) -> Iterator[Advice]:
    size = size_text(table.source.estimated_rows, table.source.total_bytes)
    if plan.whole:
        if is_large(table.source):
            yield Advice(read_whole(size), instead_of_whole(table))
    elif plan.config.mode is TableMode.XMIN and is_huge(table.source):
        yield Advice(f"each tick scans the whole table ({size})", instead_of_scan(table, None))
