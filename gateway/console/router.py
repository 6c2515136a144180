"""All pages of the console."""

from fastapi import APIRouter

from gateway.console import assets
from gateway.console.pages import (
    account,
    acts,
    duplicates,
    importing,
    language,
    live,
    missing,
    models,
    operations,
    parties,
    party,
    policies,
    population,
    search,
    side,
    sign_in,
    today,
    trials,
    users,
)

router = APIRouter(include_in_schema=False)
for room in (
    language.router,
    live.router,
    today.router,
    population.router,
    parties.router,
    search.router,
    party.router,
    side.router,
    acts.router,
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

files = assets.router
"""What pages are made of: no page, and asked for by each."""
otherwise = missing.router
"""Takes what nothing else has taken: it comes last of all."""
