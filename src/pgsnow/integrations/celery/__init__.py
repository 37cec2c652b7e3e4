"""The sync as Celery tasks: `install(app, "sync_config.yaml")`."""

from pgsnow.integrations.celery.install import BEAT_ENTRY, GRACE_SECONDS, TASK_NAME, install

__all__ = ["BEAT_ENTRY", "GRACE_SECONDS", "TASK_NAME", "install"]
