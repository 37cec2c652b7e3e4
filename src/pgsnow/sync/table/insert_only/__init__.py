"""Reads of tables whose rows should never change (`insert_only`)."""
