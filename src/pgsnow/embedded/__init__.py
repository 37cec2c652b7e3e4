"""Servers out of wheels for the demo, `pgsnow dev` and the tests: PostgreSQL, a Snowflake emulator, a broker."""
