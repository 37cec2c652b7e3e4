"""Stages that part files are uploaded to: Snowflake's own, and buckets."""
