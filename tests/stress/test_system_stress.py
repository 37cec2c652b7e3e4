"""The whole system under everything at once, for PGSNOW_STRESS_MINUTES: `make stress MINUTES=60` runs this alone."""

from __future__ import annotations

import os
import sys
from unittest import mock

import pytest

from tests.stress.system.__main__ import main


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_source_and_target_are_equal_after_everything_at_once() -> None:
    """Writers, changed definitions, killed workers and servers, edits of the configuration and of targets, lost and
    repeated messages: afterwards each table is equal cell by cell, and nothing is left over."""
    with mock.patch.object(
        sys, "argv", ["system", "--minutes", os.environ.get("PGSNOW_STRESS_MINUTES", "3")]
    ):
        assert main() == 0
