"""Integrations with an application of the user's own: Celery tasks and beat, a FastAPI status router."""
