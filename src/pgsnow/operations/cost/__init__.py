"""Costs of syncing: what was spent, what a day will cost, and what the account says."""
