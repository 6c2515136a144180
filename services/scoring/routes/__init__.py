"""HTTP in: each function loads, decides, records, returns."""

from fastapi import APIRouter

from services.scoring.routes import standings

router = APIRouter()
for room in (standings.router,):
    router.include_router(room)
