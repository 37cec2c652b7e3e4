"""`pgsnow check`: what a run needs, tested before it runs."""
