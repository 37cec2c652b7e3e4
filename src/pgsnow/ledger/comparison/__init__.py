"""State of the comparisons of source and target."""
