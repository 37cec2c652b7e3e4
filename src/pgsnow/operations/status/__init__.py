"""The state of every table, for the command line and HTTP."""
