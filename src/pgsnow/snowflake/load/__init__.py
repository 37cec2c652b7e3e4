"""Statements that load a target, in their order and transactions."""
