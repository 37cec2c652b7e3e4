"""`pgsnow cost`."""
