"""Check of the broker: whether it delivers the task of a killed worker again."""

from __future__ import annotations

from pgsnow.operations.check.result import CheckResult, failed, ok, warning

KEEPS_TASKS = {
    "amqp": "RabbitMQ repeats a killed worker's task at once; no run may be longer than its consumer_timeout",
    "redis": "Redis repeats a killed worker's task after its visibility timeout (1 h); the next tick is earlier",
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
    """Check the broker at `url`, which may hold a password: only its scheme is shown."""
    if not url:
        return warning(
            "broker",
            "CELERY_BROKER_URL is not set, so the broker was not checked",
            "A broker that is set in code (app.conf.broker_url) is checked by each worker when it starts, and needs no"
            " variable. `pgsnow run` needs no broker.",
        )
    scheme = url.partition("://")[0].partition("+")[0].lower()
    kind = SPELLINGS.get(scheme, scheme)
    if kind in KEEPS_TASKS:
        return ok("broker", f"{scheme}: {KEEPS_TASKS[kind]}")
    if kind in LOSES_TASKS:
        return failed(
            "broker", f"{scheme}: loses the task of a killed worker, or is slow to deliver tasks", FIX
        )
    return warning("broker", f"{scheme}: not tested with pgsnow", FIX)
