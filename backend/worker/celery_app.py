"""The backend's Celery application. The sync is one line of it.

Started in backend/ with `celery -A worker.celery_app worker` and `celery -A worker.celery_app beat`.
"""

from __future__ import annotations

from celery import Celery

from pgsnow.integrations.celery import install
from pgsnow.sync.runtime.log import configure

from .sync_utils import broker_url, config_file, load_environment

load_environment()
configure("json")  # the sync's own lines, on stdout

celery = Celery("backend", broker=broker_url())
celery.conf.broker_connection_retry_on_startup = True

# Registers the task worker.sync.sync_postgres_to_snowflake and the beat entry
# sync-postgres-to-sf-every-2-minutes. The interval is `sync_interval_seconds` of sync_config.yaml: 120.
sync_postgres_to_snowflake = install(celery, config_file())
