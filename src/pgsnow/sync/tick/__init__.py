"""One tick: all tables inspected, idle ones settled, busy ones run."""
