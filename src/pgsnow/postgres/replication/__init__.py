"""Logical replication: slot, publication, sessions that read the write-ahead log, and the decoder of its messages."""
