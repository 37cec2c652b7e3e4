"""Configuration files: sync_config.yaml, and the edits that pgsnow makes in it."""
