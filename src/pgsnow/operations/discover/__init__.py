"""`pgsnow discover`: proposals for the table list."""
