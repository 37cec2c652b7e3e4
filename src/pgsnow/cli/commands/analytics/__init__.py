"""Commands for people who build on the targets."""
