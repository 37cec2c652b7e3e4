"""Transforms of rows: declared in YAML, or a Python function."""
