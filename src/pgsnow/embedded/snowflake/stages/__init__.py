"""Repairs of stages: files in them and in buckets, COPY from them, and where they are on disk."""
