"""Values of comparisons between a table and its target."""
