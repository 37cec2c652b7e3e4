"""Slot and publication for tables with `mode: log`: what they lack, and setting them up."""
