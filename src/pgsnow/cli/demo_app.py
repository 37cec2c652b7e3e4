"""Celery application of the demo, written as a host would: a broker and `install`."""

from __future__ import annotations

import os
import signal

from celery import Celery
from celery.signals import worker_process_init

from pgsnow.embedded.child import die_with_parent
from pgsnow.integrations.celery import install

app = Celery("pgsnow-demo", broker=os.environ["CELERY_BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True
install(app, os.environ["PGSNOW_CONFIG"])

_end_with_worker = die_with_parent(signal.SIGKILL)


@worker_process_init.connect  # type: ignore[untyped-decorator, unused-ignore]
def _bind_life(**_: object) -> None:
    """End each pool process with its worker, also when the worker is killed."""
    if _end_with_worker:
        _end_with_worker()
