"""The text format of Prometheus, read by Prometheus' own client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pgsnow.integrations.prometheus.exposition import Exposition, label


@given(st.text(), st.floats(allow_nan=False, width=32) | st.integers())
def test_any_name_of_a_table_can_be_a_label(name: str, value: float) -> None:
    """Quotes, backslashes and line breaks in a name neither break the text nor are lost."""
    page = Exposition()
    page.add("pgsnow_staged_rows", value, f"{label('table', name)},{label('x', 'y')}")
    [family] = text_string_to_metric_families(page.text())
    [sample] = family.samples
    assert sample.labels == {"table": name.encode("utf-8", "replace").decode(), "x": "y"}
    assert sample.value == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_a_value_that_is_not_known_is_no_sample() -> None:
    """A missing value is not shown as 0."""
    page = Exposition()
    page.add("pgsnow_freshness_seconds", None, 'table="t"')
    page.add("pgsnow_ledger_up", 1)
    assert page.text().splitlines()[1:] == ["# TYPE pgsnow_ledger_up gauge", "pgsnow_ledger_up 1"]


def test_a_metric_that_is_not_defined_is_an_error() -> None:
    """No metric comes into the text without a description."""
    page = Exposition()
    page.add("pgsnow_invented", 1)
    with pytest.raises(KeyError, match="pgsnow_invented"):
        page.text()
