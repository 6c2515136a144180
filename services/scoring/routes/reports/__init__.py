"""What managers ask of many standings at once. Reports change nothing; `docs/reports.md` says how to read each."""

from fastapi import APIRouter

from services.scoring.routes.reports import comparing, populations, zooming

router = APIRouter(prefix="/v1/reports", tags=["reports"])
for room in (comparing.router, populations.router, zooming.router):
    router.include_router(room)
