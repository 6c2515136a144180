import httpx
from fastapi import APIRouter

from chassis.app import create_app
from chassis.auth import HEADER, Signer
from chassis.db import Database
from chassis.settings import ServiceSettings
from contracts.topics import topics_of

SECRET = "a secret of at least thirty-two characters"


async def test_a_service_tells_how_far_it_is_to_the_gateway_alone(database: Database) -> None:
    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET)
    app = create_app("customers", router=APIRouter(), settings=settings)

    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://customers") as client:
            refused = await client.get("/internal/status")
            answered = await client.get("/internal/status", headers={HEADER: Signer(SECRET).sign("gateway", ())})

    assert refused.status_code == 401
    report = answered.json()
    assert {stream["topic"] for stream in report["streams"]} == {topic.name for topic in topics_of("customers")}
    assert {stream["published_seq"] for stream in report["streams"]} == {None}
    assert (report["oldest_unsequenced_s"], report["oldest_unpublished_s"]) == (0, 0)
    assert (report["consumers"], report["dead_letters"]) == ([], [])
