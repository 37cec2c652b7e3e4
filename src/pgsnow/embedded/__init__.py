"""Servers out of wheels, for `pgsnow dev`, the demo and the tests: PostgreSQL, Snowflake's emulator, a broker."""
