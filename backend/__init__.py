"""An ordinary Celery + FastAPI backend that has had the sync added to it."""
