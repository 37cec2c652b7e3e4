"""A table's configuration as the ledger remembers it: which keys are other than they were, not what they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pgsnow.model.config.table_config import TableConfig

_LENGTH = 8
_WITHOUT_EFFECT = {
    *("name", "enabled", "batch_size", "max_rows_per_load", "max_rejected_rows"),
    *("max_mb_per_chunk", "max_mb_per_s", "max_parallel_chunks", "queue"),
    *("load_every", "load_when_rows", "load_when_mb"),
}
"""Keys that change neither what a row looks like in the target nor which rows are read."""


def config_fingerprint(config: TableConfig) -> dict[str, str]:
    """Key → a short digest of its value. A salt is in that of `transform`, and cannot be told from it."""
    said: dict[str, Any] = config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    if config.transform is not None and config.transform.salt is not None:
        salt = config.transform.salt.get_secret_value()
        said["transform"] = [said["transform"], hashlib.sha256(salt.encode()).hexdigest()]
    return {key: _digest(value) for key, value in said.items()}


def changed_keys(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Keys with another value, in their order. A key that was not known then (from an older version) is left out."""
    return tuple(key for key, digest in now.items() if key in before and before[key] != digest)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LENGTH]
