"""What loads may cost in a day, and what was decided so that it suffices."""
