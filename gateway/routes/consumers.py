"""How far consumers are, what they read, and the words that pause them and let them go on."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from chassis.http import TransactionalRoute
from gateway.domain import lag, status
from gateway.domain.consumers import concerned
from gateway.domain.services import ServiceUnavailable
from gateway.models.operating import ConsumerLag, Topics, Turned, WhatIsRead
from gateway.queries.services import Answered, Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1", tags=["status"], route_class=TransactionalRoute)


@router.get("/lag")
async def read_lag(request: Request, service: str | None = None, topic: str | None = None) -> ConsumerLag:
    """How far every consumer is in every partition: events behind, age of the oldest unread, place.

    A service that does not answer is in `unavailable`; what is unread of its topics is then not known.
    """
    services: Services = request.app.state.services
    reports = await services.readers_reports()
    consumers = [
        each
        for each in status.of_services(_there(reports), "consumers")
        if service in (None, each["service"]) and topic in (None, each["topic"])
    ]
    asked = lag.sources(consumers)
    answers = await asyncio.gather(*(_unread(services, source, marks) for (_, _, source), marks in asked.items()))
    rows = [
        line
        for marks, answer in zip(asked.values(), answers, strict=True)
        for line in lag.lines(marks, answer.data and answer.data["data"])
    ]
    return ConsumerLag(
        data=sorted(rows, key=lambda row: (row["service"], row["consumer"], row["topic"], row["partition"])),
        unavailable=sorted(name for name, report in reports.items() if report is None),
    )


@router.get("/topics")
async def read_topics(request: Request) -> Topics:
    """Every topic: what its log holds of each partition, how long events stay, and who reads it."""
    services: Services = request.app.state.services
    told, reports = await asyncio.gather(services.each("GET", "/internal/topics"), services.readers_reports())
    readers = lag.readers(status.of_services(_there(reports), "consumers"))
    return Topics(
        data=[
            {
                "service": name,
                **topic,
                "events": sum(each["events"] for each in topic["partitions"]),
                "read_by": readers.get(topic["topic"], []),
            }
            for name, answer in told.items()
            if answer is not None
            for topic in answer["data"]
        ],
        unavailable=sorted(name for name, report in told.items() if report is None),
    )


@router.post("/consumers/pause")
async def pause_consumers(body: WhatIsRead, request: Request, asking: Asking) -> Turned:
    """Have a service read nothing more, or nothing of a topic, until it is resumed; also after a restart.

    What it handles at this moment still takes effect before the answer. Events wait meanwhile, and are lost to it only
    if they leave the log before it goes on.
    """
    return await _turn(body, request, asking, "pause")


@router.post("/consumers/resume")
async def resume_consumers(body: WhatIsRead, request: Request, asking: Asking) -> Turned:
    """Have a service read again what it was told not to read; it does so within seconds."""
    return await _turn(body, request, asking, "resume")


async def _turn(body: WhatIsRead, request: Request, asking: Asking, word: str) -> Turned:
    services: Services = request.app.state.services
    reports = await services.readers_reports()
    if reports.get(body.service, ()) is None:
        raise ServiceUnavailable(f"{body.service} does not answer just now.", services=[body.service])
    consumers = concerned(status.of_services(_there(reports), "consumers"), body.service, body.topic)
    turned = 0
    for consumer in consumers:
        said = {"consumer": consumer, "topic": body.topic}
        answer = await services.json(body.service, "POST", f"/internal/consumers/{word}", said, caller=asking)
        turned += answer["partitions"]
    return Turned(service=body.service, topic=body.topic, consumers=consumers, partitions=turned)


def _there(reports: dict[str, Any]) -> dict[str, Any]:
    return {name: report for name, report in reports.items() if report is not None}


async def _unread(services: Services, source: str, marks: list[Any]) -> Answered:
    named = [{name: mark[name] for name in ("topic", "partition", "epoch", "seq")} for mark in marks]
    return await services.part(source, "POST", "/internal/unread", {"marks": named}, within_s=5)
