"""Output of commands: tables, records, reports, plans, progress and logs."""
