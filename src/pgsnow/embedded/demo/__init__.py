"""The demo: a Postgres under live writes, kept equal to Snowflake (the emulator) by a Celery worker."""
