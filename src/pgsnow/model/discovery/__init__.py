"""Proposals for a table list, made from a survey of the catalog."""
