"""Loading a target: the ways rows get into it, and the session they share."""
