"""The verbs: a tick, the story of one table, and what serves them."""
