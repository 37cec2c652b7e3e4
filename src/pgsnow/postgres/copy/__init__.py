"""Rows out of `COPY … TO STDOUT (FORMAT binary)` as Arrow, column by column and without an object per row."""
