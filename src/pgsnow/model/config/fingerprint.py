"""Fingerprint of a table's configuration: it shows which keys changed since it was stored, without their values."""

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
    *("load_via", "load_every", "load_when_rows", "load_when_mb", "priority", "max_lag"),
    *("live_view", "live_view_grace", "insert_only", "transient", "cluster_by"),
    *("verify_every", "verify_budget_seconds", "verify_repair"),
    *("deletes", "sweep_every", "sweep_share", "max_delete_share"),
    *("log_audit_every", "alerts"),
    *("real_values", "char_padding", "numeric_type"),
}
"""Keys that affect neither the content of a row in the target nor which rows are read, or whose effect is stored with
each column (`ColumnDefinition.conversion`) or is part of `transform` (casts)."""


def config_fingerprint(config: TableConfig) -> dict[str, str]:
    """Key → a short hash of its value. The salt is part of that of `transform`, and cannot be recovered from it."""
    values: dict[str, Any] = config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    if config.transform is not None and config.transform.salt is not None:
        salt = config.transform.salt.get_secret_value()
        values["transform"] = [values["transform"], hashlib.sha256(salt.encode()).hexdigest()]
    return {key: _hash(value) for key, value in values.items()}


def entry_hash(config: TableConfig, connections: str) -> str:
    """Hash of all keys of an entry and of a description of the connections without secrets."""
    keys = config_fingerprint(config) | config.model_dump(mode="json", include=_WITHOUT_EFFECT)
    return _hash([keys, connections])


def changed_keys(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Keys whose value changed, in the order of `now`. Keys that an older version did not store are left out."""
    return tuple(key for key, found in now.items() if key in before and before[key] != found)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LENGTH]
