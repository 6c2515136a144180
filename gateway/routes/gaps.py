"""Partitions that stopped at a gap, of any service, and the word that lets one go on."""

from fastapi import APIRouter, Request

from chassis.http import TransactionalRoute
from gateway.domain.gaps import PartitionNotStopped, the_one
from gateway.domain.services import ServiceUnavailable
from gateway.domain.status import composed
from gateway.models.operating import Gap, GapToPass
from gateway.queries.services import Services
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/gaps", tags=["status"], route_class=TransactionalRoute)


@router.post("/pass")
async def pass_gap(body: GapToPass, request: Request, asking: Asking) -> Gap:
    """Let a stopped partition go on without the events that are missing, for the one consumer that is meant.

    They are given up by it: should they turn up later, it drops them. Look first whether their log can be brought back,
    for then the partition goes on by itself. Where several consumers have stopped at the partition, each is let pass by
    itself; `GET /v1/status` lists them.
    """
    services: Services = request.app.state.services
    reports = await services.readers_reports()
    away = [name for name, report in reports.items() if report is None and body.service in (None, name)]
    if away:
        raise ServiceUnavailable(
            f"{', '.join(away)} did not answer, and may have stopped there too. Name another service, or try again.",
            services=away,
        )
    stopped = composed(reports)["gaps"]
    gap = the_one(stopped, topic=body.topic, partition=body.partition, service=body.service, consumer=body.consumer)
    place = {name: gap[name] for name in ("consumer", "topic", "partition")}
    answer = await services.json(gap["service"], "POST", "/internal/gaps/pass", place, caller=asking)
    if not answer["passed"]:
        raise PartitionNotStopped(other for other in stopped if other is not gap)
    return Gap(service=gap["service"], reason=gap["reason"], **place)
