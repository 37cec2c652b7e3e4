"""Masking for a bug report: secrets and values of rows are gone, names stay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.settings.secret import Secret
from pgsnow.operations.doctor.masking import masked, masked_table_list, without_values

SECRET = "s3cr3t-value-0815"
KEYS = st.sampled_from(
    ["url", "routing_key", "headers", "heartbeat_url", "openlineage_url", "token", "password", "salt"]
)
PLAIN = st.sampled_from(["source", "target", "tables", "pk", "to", "alerts", "defaults"])
TREES = st.recursive(
    st.one_of(
        st.dictionaries(KEYS, st.just(f"https://hooks.example/{SECRET}"), max_size=3),
        st.dictionaries(KEYS, st.dictionaries(st.text(max_size=5), st.just(SECRET), max_size=2), max_size=2),
        st.integers(),
        st.none(),
        st.booleans(),
        st.just("public.users"),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(PLAIN, inner, max_size=3)),
)


@given(TREES)
def test_no_secret_of_a_table_list_is_left_wherever_it_stands(tree: Any) -> None:
    """Also one that is written into the file, and not only those of the environment."""
    text = yaml.safe_dump(masked_table_list(tree, ()))
    assert SECRET not in text
    assert "hooks.example" not in text


def test_what_a_bug_needs_stays() -> None:
    """References to variables, names and numbers are no secrets."""
    given_list = {
        "sync_interval_seconds": 120,
        "alerts": {"to": [{"kind": "slack", "url": "${SLACK_URL}"}, {"url": "https://hooks.example/x"}]},
        "tables": [{"source": "public.users", "pk": "id", "where": "tenant = 'acme' and region_key = 3"}],
    }
    assert masked_table_list(given_list, ()) == {
        "sync_interval_seconds": 120,
        "alerts": {"to": [{"kind": "slack", "url": "${SLACK_URL}"}, {"url": "***"}]},
        "tables": [{"source": "public.users", "pk": "id", "where": "tenant = … and region_key = 3"}],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Key (email)=(jane@example.com) already exists", "Key (email)… already exists"),
        ('invalid input syntax for type integer: "Jane"', "invalid input syntax for type integer: …"),
        ("4111111111111111 does not fit NUMBER(10, 2)", "… does not fit NUMBER(10, 2)"),
        ("missing (id=17, tenant=4): gone", "missing (…): gone"),
        ('column "updated_at" of public.users does not exist', None),
        ("unexpected KeyError at pgsnow.sync.table.run:52", None),
        ("backing off until 2026-01-31 12:00:00 UTC", None),
    ],
)
def test_values_are_replaced_and_names_are_not(text: str, shown: str | None) -> None:
    """An error stays understandable, and tells nothing about a row."""
    assert without_values(text) == (shown or text)


def test_every_text_of_a_document_loses_known_secrets() -> None:
    """At any depth, also in keys' lists; moments become text, numbers stay numbers."""
    document = {"a": [f"password {SECRET}", {"b": f"postgresql://u:{SECRET}@h/db"}], "n": 1.5, "at": None}
    out = masked(document | {"moment": datetime(2026, 1, 31, tzinfo=UTC)}, [Secret(SECRET)])
    assert SECRET not in str(out)
    assert (out["n"], out["at"], out["moment"]) == (1.5, None, "2026-01-31T00:00:00+00:00")
