"""The content of a bug report, without secrets and without values of rows."""
