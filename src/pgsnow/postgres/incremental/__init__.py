"""Which rows must be read: horizon, transaction id window, probe, audit."""
