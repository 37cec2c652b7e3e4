"""Commands that help to watch the sync from outside: alerts, dashboards, alert rules."""
