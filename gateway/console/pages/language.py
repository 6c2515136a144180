"""The language of whoever looks at a page."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway.console.forms import inside
from gateway.console.frame import Somebody
from gateway.console.messages import DEFAULT, LANGUAGES

router = APIRouter(include_in_schema=False)


@router.post("/language")
async def change_language(page: Somebody) -> Response:
    """Speak another language from now on, to this person everywhere, and go on where they were."""
    asked, back = str(page.form.get("language")), str(page.form.get("back", "/"))
    await page.api.patch("/v1/me", {"language": asked if asked in LANGUAGES else DEFAULT})
    return page.to(inside(back))
