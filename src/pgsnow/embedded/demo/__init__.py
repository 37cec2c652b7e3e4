"""The demo: a Postgres under live writes, kept equal to Snowflake (the emulator) by Celery's worker and beat."""
