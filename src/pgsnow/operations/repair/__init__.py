"""`pgsnow repair`: rows that differ are read again and loaded."""
