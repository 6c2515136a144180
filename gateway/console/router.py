"""All pages of the console."""

from fastapi import APIRouter

from gateway.console import assets
from gateway.console.pages import (
    account,
    duplicates,
    importing,
    language,
    missing,
    models,
    operations,
    policies,
    sign_in,
    trials,
    users,
)

router = APIRouter(include_in_schema=False)
for room in (
    assets.router,
    language.router,
    sign_in.router,
    account.router,
    users.router,
    importing.router,
    duplicates.router,
    trials.router,
    policies.router,
    models.router,
    operations.router,
):
    router.include_router(room)

otherwise = missing.router
"""Takes what nothing else has taken: it comes last of all."""
