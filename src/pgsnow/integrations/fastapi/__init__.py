from pgsnow.integrations.fastapi.router import status_router
