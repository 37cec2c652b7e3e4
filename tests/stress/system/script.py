"""The script of an episode: everything that is done in it, as values that a file can hold.

An episode has phases. In a phase the actions of each lane are done one after the other, at their times or as soon as
the lane is free; lanes run at the same time. After each phase all is quiet, and both sides are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Action:
    """phase: from 0. at: seconds since the phase began. lane: actions of one lane never overlap. kind: the name of a
    function in `perform`. args: its arguments."""

    phase: int
    at: float
    lane: str
    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """seed: what it was planned from, for people; the actions say all. settings: what the episode begins with."""

    seed: int
    settings: Mapping[str, Any]
    actions: tuple[Action, ...]

    @property
    def phases(self) -> int:
        return 1 + max((action.phase for action in self.actions), default=0)

    def upto(self, phase: int) -> Script:
        """Without what comes after this phase."""
        return replace(self, actions=tuple(action for action in self.actions if action.phase <= phase))

    def having(self, actions: Sequence[Action]) -> Script:
        return replace(self, actions=tuple(actions))

    def write(self, file: Path) -> None:
        """An action a line, so that a person can read and remove some."""
        lines = ",\n".join(json.dumps(asdict(action)) for action in self.actions)
        file.write_text(
            f'{{"seed": {self.seed}, "settings": {json.dumps(self.settings)}, "actions": [\n{lines}\n]}}\n'
        )

    @classmethod
    def read(cls, file: Path) -> Script:
        found = json.loads(file.read_text())
        return cls(found["seed"], found["settings"], tuple(Action(**action) for action in found["actions"]))
