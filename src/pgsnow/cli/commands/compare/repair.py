"""`pgsnow repair`."""
