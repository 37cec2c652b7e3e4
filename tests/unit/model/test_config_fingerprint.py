"""Which keys of a table's configuration changed can be told later, and their values cannot."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.config.fingerprint import changed_keys, config_fingerprint
from pgsnow.model.config.sync_config import TableConfig

USERS = {"source": "public.users", "target": "users", "pk": "id", "watermark_column": "updated_at"}


def fingerprint(**changes: Any) -> dict[str, str]:
    return config_fingerprint(TableConfig.model_validate({**USERS, **changes}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pk": ["id", "region"]}, ("pk",)),
        ({"where": "id > 7", "columns": {"exclude": ["secret"]}}, ("columns", "where")),
        ({"transform": {"hash": ["name"], "salt": "pepper"}}, ("transform",)),
        ({"batch_size": 17, "enabled": False, "transient": True, "cluster_by": "id"}, ()),
    ],
)
def test_exactly_the_changed_keys_are_told(change: dict[str, Any], told: tuple[str, ...]) -> None:
    assert set(changed_keys(fingerprint(), fingerprint(**change))) == set(told)
    assert changed_keys(fingerprint(**change), fingerprint(**change)) == ()


def test_another_salt_is_another_transform() -> None:
    one, other = ({"transform": {"hash": ["name"], "salt": salt}} for salt in ("pepper", "sugar"))
    assert changed_keys(fingerprint(**one), fingerprint(**other)) == ("transform",)


def test_a_key_that_an_older_version_did_not_know_is_no_change() -> None:
    older = {key: value for key, value in fingerprint().items() if key != "where"}
    assert changed_keys(older, fingerprint(where="true")) == ()


def test_the_older_name_of_reject_means_the_same_and_its_fingerprint_stays() -> None:
    for name in ("reject", "quarantine"):
        found = fingerprint(on_overflow="clamp", columns={"on_overflow": {"a": name}})
        assert (found["on_overflow"], found["columns"]) == ("af7f8384", "0ba2cd85")
        assert fingerprint(on_overflow=name) == fingerprint()
    assert fingerprint()["on_overflow"] == "f7532f6a"
