"""Cache of results that clients may fetch again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

KEPT_BYTES = 64_000_000


class NewestResults(OrderedDict[str, tuple[Any, ...]]):
    """Mapping of query id -> (Arrow table or None, …), which keeps the newest results up to a total of bytes."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        super().__init__()
        self._left = kept_bytes

    def __setitem__(self, query_id: str, result: tuple[Any, ...]) -> None:
        self.pop(query_id, None)
        super().__setitem__(query_id, result)
        self._left -= _size(result)
        while self._left < 0 and self:
            self.popitem(last=False)

    def pop(self, query_id: str, *default: Any) -> Any:
        if query_id in self:
            self._left += _size(self[query_id])
        return super().pop(query_id, *default)

    def popitem(self, last: bool = True) -> tuple[str, tuple[Any, ...]]:
        query_id, result = super().popitem(last)
        self._left += _size(result)
        return query_id, result


def _size(result: tuple[Any, ...]) -> int:
    return 200 + (result[0].nbytes if result[0] is not None else 0)
