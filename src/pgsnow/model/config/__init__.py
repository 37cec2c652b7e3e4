"""The configuration in sync_config.yaml as frozen values, and its validation."""

from pgsnow.model.config.sync_config import (
    LoadMethod,
    SyncConfig,
    TableConfig,
    TableMode,
    json_schema,
    parse_config,
)

__all__ = ["LoadMethod", "SyncConfig", "TableConfig", "TableMode", "json_schema", "parse_config"]
