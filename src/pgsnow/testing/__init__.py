"""For tests: a destination in memory, a network that fails, and a process that dies at a named phase of a run."""
