"""How a team's own application gets the sync: a Celery task with its beat entry, and a status page's JSON."""
