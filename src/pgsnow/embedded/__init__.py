"""Servers from Python wheels for `pgsnow dev`, the demo and the tests: PostgreSQL, the Snowflake emulator, a
broker."""
