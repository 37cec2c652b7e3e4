"""The backend's Celery worker."""
