"""Runs of tables whose changes were read from the log."""
