"""The beat entry, added to a schedule that is the application's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery


def beat_entry_of(task_name: str, interval: float, queue: str | None) -> dict[str, Any]:
    """A message that no worker took before the next one is sent has nothing left to do."""
    options = {"expires": interval} | ({"queue": queue} if queue else {})
    return {"task": task_name, "schedule": interval, "options": options}


def add_beat_entry(app: Celery, name: str, entry: dict[str, Any]) -> None:
    """When the application is complete, whatever it does to its configuration after `install`."""

    def add(**_: Any) -> None:
        app.conf.beat_schedule = {name: entry, **(app.conf.beat_schedule or {})}

    if app.finalized:
        add()
    else:
        app.on_after_finalize.connect(add, weak=False)
