"""The long run with timestamps that the application sets: `make stress`."""

from __future__ import annotations

import pytest

from tests.stress.watermark import main


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1, 4))
def test_audits_find_every_row_that_a_read_missed(seed: int) -> None:
    assert main(["--seconds", "30", "--writers", "16", "--own-clock", "--seed", str(seed)]) == 0
