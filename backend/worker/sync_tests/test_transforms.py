"""The backend's own transforms."""

from __future__ import annotations

import pytest

from backend.worker.sync_utils import drop_internal, lower_email


@pytest.mark.parametrize(("email", "expected"), [(" Ann@Acme.IO ", "ann@acme.io"), ("", ""), (None, None)])
def test_an_address_gets_one_spelling_and_the_rest_of_the_row_stays(
    email: str | None, expected: str | None
) -> None:
    assert lower_email({"id": 1, "email": email}) == {"id": 1, "email": expected}


def test_rows_of_the_teams_own_accounts_are_left_out() -> None:
    assert drop_internal({"id": 1, "email": "qa@example.com"}) is None
    assert drop_internal({"id": 2, "email": None}) == {"id": 2, "email": None}
    assert drop_internal({"id": 3, "email": "ann@acme.io"}) == {"id": 3, "email": "ann@acme.io"}
