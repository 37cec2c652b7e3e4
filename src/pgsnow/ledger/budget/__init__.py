"""Each day's credits for loads, and the tables that are slowed so that they suffice."""
