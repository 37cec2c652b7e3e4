"""Commands for every day: the history of runs, pauses, and a report for a bug."""
