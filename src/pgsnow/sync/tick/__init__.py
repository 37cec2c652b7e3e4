"""One tick: inspects all tables, completes the idle ones, runs the busy ones."""
