"""Who does the work of a tick."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator

from pgsnow.model.config.options import choice


class Execution(StrEnum):
    """One Celery task does the whole tick, or its task sends another for each busy table."""

    SINGLE = "single"
    DISTRIBUTED = "distributed"


ExecutionChoice = Annotated[Execution, BeforeValidator(lambda value: choice(Execution, value))]
