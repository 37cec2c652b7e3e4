"""Commands that serve the status page."""
