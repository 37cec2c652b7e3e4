"""Promises that hold for every configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_runs
from hypothesis import strategies as st

from pgsnow.model.config.interpolation import escape, expand
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.duration import format_duration, parse_duration

UNTIMED = settings_of_runs(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

TEXT = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="$"), min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
NAMES = st.lists(NAME, min_size=1, max_size=3, unique=True)
SECONDS = st.one_of(
    st.integers(0, 10**6), st.floats(0, 10**6, allow_nan=False), st.sampled_from(["10m", "1h30m"])
)


Data = st.SearchStrategy[dict[str, Any]]


def optional(**keys: st.SearchStrategy[Any]) -> Data:
    return st.fixed_dictionaries({}, optional=keys)


TRANSFORM = st.one_of(
    st.none(),
    st.just("package.module:function"),
    optional(
        function=st.just("a.b"),
        cast=st.dictionaries(NAME.map("c_{}".format), st.just("text"), max_size=2),
        mask=st.dictionaries(
            NAME.map("m_{}".format),
            optional(keep_first=st.integers(0, 9), keep_last=st.integers(0, 9)),
            max_size=2,
        ),
        set_null=st.lists(NAME.map("n_{}".format), unique=True, max_size=2),
        rename=st.dictionaries(NAME.map("r_{}".format), TEXT, max_size=2),
    ),
)
NEEDED: dict[str, st.SearchStrategy[Any]] = {
    "source": NAME,
    "pk": st.one_of(NAME, NAMES),
    "watermark_column": NAME,
}
TABLE: Data = st.fixed_dictionaries(
    NEEDED,
    optional={
        "batch_size": st.integers(1, 10**9),
        "late_rows": st.sampled_from(["lossless", "lookback", "off", False]),
        "lookback": SECONDS,
        "max_skew": SECONDS,
        "audit_every": SECONDS,
        "load": st.sampled_from(["auto", "insert", "stage"]),
        "where": st.text(st.characters(exclude_characters="\0$", codec="utf-8"), min_size=1).filter(
            str.strip
        ),
        "enabled": st.booleans(),
        "transform": TRANSFORM,
        "watermark_timezone": st.sampled_from([None, "UTC", "Europe/Berlin"]),
        "columns": optional(include=NAMES),
    },
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    tables = draw(st.lists(TABLE, min_size=1, max_size=4, unique_by=lambda table: table["source"]))
    top = draw(
        optional(
            sync_interval_seconds=st.floats(0.1, 10**6),
            default_batch_size=st.integers(1, 10**6),
            defaults=optional(max_rejected_rows=st.integers(0, 10**6)),
            parallel_tables=st.integers(1, 64),
            ledger_schema=NAME,
            max_retained_wal=st.floats(1, 10**8) | st.sampled_from(["8GB", "1.5 TB", "500MB"]),
        )
    )
    return {**top, "tables": [{**table, "target": f"t_{at}"} for at, table in enumerate(tables)]}


@UNTIMED
@given(configs())
def test_a_config_written_out_reads_back_the_same(data: dict[str, Any]) -> None:
    config = parse_config(data, file="f", env={})
    again = yaml.safe_load(yaml.safe_dump(config.to_data()))
    assert parse_config(again, file="f", env={}) == config


@UNTIMED
@given(
    st.recursive(
        st.one_of(st.text(), st.integers(), st.none()), lambda v: st.lists(v) | st.dictionaries(TEXT, v)
    )
)
def test_escaped_text_is_never_expanded(value: object) -> None:
    def refuse(path: object, message: str) -> None:
        raise AssertionError(message)

    assert expand(escape(value), {}, report=refuse) == value


@UNTIMED
@given(st.text(st.characters(exclude_characters="}\0")), st.text())
def test_a_variable_s_text_is_taken_to_the_letter(default: str, value: str) -> None:
    """Nothing inside a variable's value or a default is expanded again."""
    found: list[str] = []
    expanded = expand(
        "<${V:-" + default + "}>", {"V": value}, report=lambda _, message: found.append(message)
    )
    assert (expanded, found) == (f"<{value or default}>", [])


@UNTIMED
@given(st.integers(0, 10**12))
def test_a_duration_written_out_reads_back_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(
        milliseconds / 1000, abs=1e-6
    )


@UNTIMED
@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.sampled_from(["", " "]))
def test_terms_of_a_duration_add_up(hours: int, minutes: int, seconds: int, blank: str) -> None:
    assert (
        parse_duration(f"{hours}h{blank}{minutes}m{blank}{seconds}s") == hours * 3600 + minutes * 60 + seconds
    )


@UNTIMED
@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.integers())))
def test_a_duration_is_seconds_or_refused(value: object) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        return
    assert 0 <= seconds < float("inf")


@pytest.mark.parametrize("text", ["", "10x", "m", "-5s", "1h-5m", "5 minutes", "1e5s", "٣s", "nan", True])
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)
