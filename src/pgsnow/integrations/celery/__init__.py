from pgsnow.integrations.celery.install import *
