from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.postgres.conftest import lab, plain_role
from tests.integration.postgres.lab import Lab
from tests.integration.replication.log_lab import LogLab, log_of

__all__ = ["lab", "plain_role"]


@pytest.fixture
def log(lab: Lab) -> Iterator[LogLab]:
    """The log of an empty database."""
    with log_of(lab) as log:
        yield log
