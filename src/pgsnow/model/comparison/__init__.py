"""Values of comparisons of a table with its target."""
