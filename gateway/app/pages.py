"""What people look at: the documents of the API, and the console."""

from fastapi import Depends, FastAPI, Request

from gateway.console.api import SESSION
from gateway.console.refusals import RENDERERS
from gateway.console.router import files, otherwise
from gateway.console.router import router as console
from gateway.routes import documents
from gateway.routes.door import count_visitor


def add_pages(made: FastAPI) -> None:
    """Add the pages to the app, which answer what nobody else does."""
    made.title = "Shuke"
    made.include_router(documents.router)
    made.router.routes.append(documents.assets)
    made.include_router(files)
    made.include_router(console, dependencies=[Depends(passer_by)])
    made.include_router(otherwise, dependencies=[Depends(passer_by)])
    for wrong, render in RENDERERS.items():
        made.add_exception_handler(wrong, render)


async def passer_by(request: Request) -> None:
    """Count whoever asks for a page and has no session by their address, apart from the API. Raises `RateLimited`.

    Of who has one, or says so, the page asks who it is: that is counted as any question to the API.
    """
    if not request.cookies.get(SESSION):
        count_visitor(request)
