from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute, _iter_routes_with_context

from bench.console.catalogue import FOUND, OPEN_TO_ALL, PLAIN
from chassis.paths import fits
from gateway.console.router import router

PARTS = {
    "/stream", "/figures", "/population/matrix", "/parties/{party_id}/timeline", "/parties/{party_id}/top",
    "/parties/{party_id}/side", "/operations/partitions",
}  # fmt: skip
"""What pages are made of, or ask for by themselves."""
ELSEWHERE = {"/sign-in/elsewhere", "/sign-in/oidc"}
"""What leads to an OpenID provider, or back from it."""
FORMS = {f"/parties/{{party_id}}/{form}" for form in ("contacts", "purchases", "overrides", "name")}
"""Where a form of a party is sent to; whoever comes back to it is led to the party."""


def patterns() -> Iterator[str]:
    app = FastAPI()
    app.include_router(router)
    for route, context in _iter_routes_with_context(app.routes):
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            yield (context or route).path_format


def test_every_page_of_the_console_is_in_the_catalogue() -> None:
    looked_at = [*PLAIN.values(), *OPEN_TO_ALL.values(), *(shown.format("1") for *_, shown in FOUND.values())]
    paths = {path.partition("?")[0] for path in looked_at}
    pages = {each for each in patterns() if each not in PARTS | ELSEWHERE | FORMS and not each.endswith(".csv")}

    assert {page for page in pages if not any(fits(page, path) for path in paths)} == set()
    assert len(pages) > 20
