"""Decoder of `COPY … TO STDOUT (FORMAT binary)` into Arrow, column by column and without an object per row."""
