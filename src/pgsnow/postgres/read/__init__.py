"""Readers of rows: by snapshot, by key, by chunk."""
