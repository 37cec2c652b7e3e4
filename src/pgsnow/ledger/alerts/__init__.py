"""Alerts in the ledger: what was reported, and the messages that are to be sent."""
