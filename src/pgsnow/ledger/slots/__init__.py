"""Replication slots: what is known of them, and which worker reads one."""
