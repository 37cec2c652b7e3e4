"""Commands that compare source and target, and repair what differs."""
