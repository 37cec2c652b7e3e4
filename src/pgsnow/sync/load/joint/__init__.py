"""Loads of several tables in one transaction (`consistency: tick`)."""
