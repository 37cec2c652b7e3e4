"""`pgsnow plan` and `pgsnow apply`: what a run would do, and the DDL alone."""
