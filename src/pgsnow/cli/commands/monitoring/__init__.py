"""Commands for monitoring systems."""
