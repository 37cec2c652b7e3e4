"""Tests of the backend's part in the sync. The library's own are in tests/."""
