"""Everything that talks to Snowflake: the session, the statements' text, the target's shape, the load."""
