"""The model of what Snowflake bills (docs/cost.md): pure functions, with every assumption as a named number."""
