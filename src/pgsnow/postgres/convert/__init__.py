"""Conversion of Arrow batches into the plan's types; rows with values that do not fit are rejected."""
