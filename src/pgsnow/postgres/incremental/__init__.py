"""The rows that must be read: horizon, transaction id window, probe, audit."""
