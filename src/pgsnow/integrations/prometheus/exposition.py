"""The text that Prometheus scrapes (Prometheus docs, "Exposition formats", version 0.0.4)."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from pgsnow.integrations.prometheus.definitions import METRICS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


@lru_cache(maxsize=10_000)
def label(name: str, value: object) -> str:
    """`name="value"`, with the value escaped. A character that UTF-8 lacks is replaced."""
    return f'{name}="{str(value).encode("utf-8", "replace").decode().translate(_ESCAPED)}"'


class Exposition:
    """Samples by metric. The text has the metrics in the order of their definitions, if they have samples."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, value: float | None, labels: str = "") -> None:
        """One sample; none if the value is not known. labels: from `label`, joined by commas, each combination once."""
        if value is not None:
            number = value if isinstance(value, int) else round(value, 6)
            self._lines[name].append(f"{name}{{{labels}}} {number}\n" if labels else f"{name} {number}\n")

    def text(self) -> str:
        """The exposition. Raises KeyError for a metric that is not defined."""
        parts = []
        for metric in METRICS:
            if lines := self._lines.pop(metric.name, None):
                parts.append(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n")
                parts.extend(lines)
        if self._lines:
            raise KeyError(*self._lines)
        return "".join(parts)
