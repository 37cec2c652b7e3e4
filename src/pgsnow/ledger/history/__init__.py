"""The history of runs: totals by hour, counters, the newest runs of each table; the workers' ticks, and checks."""
