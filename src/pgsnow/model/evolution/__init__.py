"""Schema changes of a source, and the DDL actions that make the target follow."""
