"""`live_view`: a view that also shows staged rows."""
