"""Loads of several runs in one transaction (`consistency: tick`)."""
