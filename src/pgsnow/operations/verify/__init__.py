"""`pgsnow verify`: source and target compared."""
