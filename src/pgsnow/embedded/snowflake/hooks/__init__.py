"""Hooks into fakesnow that the repairs use: its cursor, its routes, its errors and its sessions."""
