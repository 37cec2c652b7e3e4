"""Faults for tests of pgsnow and of what is built on it: a network that fails, a process that dies at a named phase."""
