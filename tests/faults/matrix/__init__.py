"""The fault matrix: what fails (points.py) while rows are loaded in which way (loads.py), how it fails, and what
must hold afterwards (trial.py)."""
