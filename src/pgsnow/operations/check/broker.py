"""Does the broker keep a task that a killed worker had?"""

from __future__ import annotations

from pgsnow.operations.check.finding import CheckResult, failed, ok, warning

KEEPS_TASKS = {
    "amqp": "RabbitMQ hands a killed worker's task on at once; no run may be longer than its consumer_timeout",
    "redis": "Redis hands a killed worker's task on after its visibility timeout (an hour); the next tick comes first",
}
SPELLINGS = {
    "amqps": "amqp", "pyamqp": "amqp", "librabbitmq": "amqp",
    "rediss": "redis", "sentinel": "redis", "valkey": "redis", "valkeys": "redis", "unix": "redis",
}  # fmt: skip
LOSES_TASKS = frozenset(
    {"filesystem", "memory", "sqla", "sqlalchemy", "db", "django", "mongodb", "pyro", "consul"}
)
FIX = "Set CELERY_BROKER_URL to Redis or Valkey (redis://…) or RabbitMQ (amqp://…)."


def check_broker(url: str | None) -> CheckResult:
    """`url` is a secret (it may hold a password): only its scheme is told."""
    if not url:
        return warning("broker", "CELERY_BROKER_URL is not set: only `pgsnow run` will sync", FIX)
    scheme = url.partition("://")[0].partition("+")[0].lower()
    kind = SPELLINGS.get(scheme, scheme)
    if kind in KEEPS_TASKS:
        return ok("broker", f"{scheme}: {KEEPS_TASKS[kind]}")
    if kind in LOSES_TASKS:
        return failed(
            "broker", f"{scheme}: loses the task of a killed worker, or is slow to hand tasks out", FIX
        )
    return warning("broker", f"{scheme}: never tried with pgsnow", FIX)
