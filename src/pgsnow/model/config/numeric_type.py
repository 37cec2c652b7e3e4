"""The option `numeric_type`: a `cast` for each numeric column without precision that has none."""

from __future__ import annotations

from collections.abc import Iterable

from pgsnow.model.config.table_config import TableConfig
from pgsnow.model.config.transform_config import TransformConfig
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.overflow import Overflow
from pgsnow.model.types.type_rules import unbounded_numeric


def with_casts(config: TableConfig, fields: Iterable[Field]) -> TableConfig:
    """The configuration with the casts that `numeric_type` stands for. fields: the columns that are read. Columns that
    the table itself casts, hashes, masks, empties or keeps as text (`on_overflow`) stay as they are."""
    transform = config.transform or TransformConfig()
    decided = {*transform.cast, *transform.hash, *transform.mask, *transform.set_null}
    casts = {
        field.source: config.numeric_type
        for field in fields
        if field.type.postgres == unbounded_numeric().postgres
        and field.overflow is not Overflow.TEXT
        and field.source not in decided
    }
    if not casts:
        return config
    return config.model_copy(
        update={"transform": transform.model_copy(update={"cast": {**transform.cast, **casts}})}
    )
