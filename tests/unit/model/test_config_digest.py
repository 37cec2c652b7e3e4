"""Which keys of a table's configuration changed can be told later, and their values cannot."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.config.fingerprint import changed_keys, config_fingerprint
from pgsnow.model.config.sync_config import TableConfig

USERS = {"source": "public.users", "target": "users", "pk": "id", "watermark_column": "updated_at"}


def digest(**changes: Any) -> dict[str, str]:
    return config_fingerprint(TableConfig.model_validate({**USERS, **changes}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pk": ["id", "region"]}, ("pk",)),
        ({"where": "id > 7", "columns": {"exclude": ["secret"]}}, ("columns", "where")),
        ({"transform": {"hash": ["name"], "salt": "pepper"}}, ("transform",)),
        ({"batch_size": 17, "enabled": False}, ()),
    ],
)
def test_exactly_the_changed_keys_are_told(change: dict[str, Any], told: tuple[str, ...]) -> None:
    assert set(changed_keys(digest(), digest(**change))) == set(told)
    assert changed_keys(digest(**change), digest(**change)) == ()


def test_another_salt_is_another_transform() -> None:
    one, other = ({"transform": {"hash": ["name"], "salt": salt}} for salt in ("pepper", "sugar"))
    assert changed_keys(digest(**one), digest(**other)) == ("transform",)


def test_a_key_that_an_older_version_did_not_know_is_no_change() -> None:
    older = {key: value for key, value in digest().items() if key != "where"}
    assert changed_keys(older, digest(where="true")) == ()
