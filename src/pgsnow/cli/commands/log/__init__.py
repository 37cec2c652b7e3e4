"""`pgsnow log`: slot and publication for tables with `mode: log`."""
