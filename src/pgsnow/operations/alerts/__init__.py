"""Alerts: the rules, what of it is new, and the messages about it."""
