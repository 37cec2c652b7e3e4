"""`pgsnow explain`: the documentation in the terminal, by page, section, term, key, status or error."""
