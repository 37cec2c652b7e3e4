"""Files of a batch that are in its stage before the rest is put there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pgsnow.model.table import TargetName
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.stage import Stage


class UploadedFiles:
    """Each is believed once: who puts a batch again puts all of it, for nobody knows what has become of the stage."""

    def __init__(self) -> None:
        self._up: dict[str, frozenset[Path]] = {}

    def note(self, batch: str, paths: Iterable[Path]) -> None:
        """They are there."""
        self._up[batch] = frozenset(paths)

    def rest(self, batch: str, parts: Sequence[Path]) -> list[Path]:
        """Those that are to be put now."""
        up = self._up.pop(batch, frozenset())
        return [part for part in parts if part not in up]


class RemainingFilesStage:
    """A staging that puts what was not put ahead; otherwise the one it stands for."""

    def __init__(self, staging: Stage, ahead: UploadedFiles) -> None:
        self._staging = staging
        self._ahead = ahead

    def put(self, session: Session, target: TargetName, batch: str, parts: Sequence[Path]) -> None:
        self._staging.put(session, target, batch, self._ahead.rest(batch, parts))

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        return self._staging.copy(target, batch, into, force=force)

    def origin(self, target: TargetName, batch: str) -> str | None:
        return self._staging.origin(target, batch)

    def remove(self, session: Session, target: TargetName, batch: str) -> None:
        self._staging.remove(session, target, batch)

    def batches(self, session: Session, target: TargetName) -> list[str]:
        return self._staging.batches(session, target)

    def tell_put(self, target: TargetName, batch: str, part: Path) -> str:
        return self._staging.tell_put(target, batch, part)

    def tell_remove(self, target: TargetName, batch: str) -> str:
        return self._staging.tell_remove(target, batch)
