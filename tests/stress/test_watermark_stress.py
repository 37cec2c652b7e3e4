"""The long run: `make stress`."""

from __future__ import annotations

import pytest

from tests.pooler import program
from tests.stress.watermark import main


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_no_reader_of_ours_loses_a_row_and_the_plain_query_does() -> None:
    assert main(["--seconds", "90", "--writers", "16"]) == 0


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.skipif(program() is None, reason="pgbouncer is not installed")
def test_no_reader_of_ours_loses_a_row_behind_a_pooler() -> None:
    assert main(["--seconds", "30", "--writers", "16", "--pooled"]) == 0
