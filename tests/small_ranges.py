"""Small key ranges, so that tables of a few hundred rows are compared in several ranges and levels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from pgsnow.sync.compare import compare, ranges

SMALL = {"leaf": 50, "fan": 4}


@contextmanager
def small_ranges() -> Iterator[None]:
    """Inside, a first range has some hundred rows, and a range of more than 50 rows is split."""
    with (
        mock.patch.multiple(ranges, FIRST_ROWS=400, FIRST_ROWS_WITHOUT_INDEX=250),
        mock.patch.dict(compare.compare.__kwdefaults__, SMALL),
    ):
        yield
