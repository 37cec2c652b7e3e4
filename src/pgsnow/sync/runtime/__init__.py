"""Services of every run: context, options, planner, recorder, events, log, heartbeat."""
