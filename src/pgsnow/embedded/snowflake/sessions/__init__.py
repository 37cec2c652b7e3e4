"""Repairs of sessions: logins, retried requests, kept results, and the journal of statements."""
