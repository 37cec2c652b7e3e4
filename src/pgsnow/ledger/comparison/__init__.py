"""Records of comparisons of tables with their targets."""
