"""Frozen values and pure functions, without I/O: no network, no files, no clock."""
