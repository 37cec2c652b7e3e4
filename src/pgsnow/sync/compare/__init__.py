"""Comparison of source and target by ranges of their keys."""
