"""Writers that delete, against a whole sync: `make stress`. PGSNOW_DELETE_SECONDS makes it longer."""

from __future__ import annotations

import os

import pytest

from tests.pooler import program
from tests.stress.deletes import main

ARGS = ["--seconds", os.environ.get("PGSNOW_DELETE_SECONDS", "20"), "--writers", "16"]


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.parametrize("how", ["hard", "soft"])
def test_deleted_rows_disappear_and_no_other_row_does(how: str) -> None:
    """At the second tick after the last delete, source and target have the same rows; before, no row is missing."""
    assert main([*ARGS, "--deletes", how]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_deleted_rows_stay_if_that_is_configured() -> None:
    """The control: the same writers leave rows behind where nothing searches for them."""
    assert main([*ARGS, "--deletes", "off"]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_a_wrong_rule_is_found_out() -> None:
    """The other control: if deleted rows are looked for in a snapshot that is older than the read, rows are removed
    that exist, and the checks say so."""
    assert main([*ARGS, "--wrong-rule"]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_deleted_rows_disappear_though_batches_wait_to_be_loaded() -> None:
    """With `load_every`, a row that was staged and then deleted does not come back."""
    assert main([*ARGS, "--set", "load_every=2s"]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.skipif(program() is None, reason="pgbouncer is not installed")
def test_deleted_rows_disappear_behind_a_pooler() -> None:
    """Sweeps and their snapshots are right where server sessions are shared with the application."""
    assert main([*ARGS, "--pooled"]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_deleted_rows_disappear_though_processes_are_killed() -> None:
    """kill -9 at any moment of a tick loses no row and leaves no deleted one."""
    assert main([*ARGS, "--kill"]) == 0
