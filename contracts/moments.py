"""What may be wrong with a question about a moment, as scoring says it and the gateway passes it on."""

from datetime import datetime

from contracts.problems import Conflict, NotFound


class NotReadYet(Conflict):
    """Not everything that was recorded by that time has been read."""

    def __init__(self, watermark: datetime | None) -> None:
        until = None if watermark is None else watermark.isoformat()
        way = f"Ask for a time up to {until}, the `watermark`." if until else "Nothing was read whole yet: ask later."
        super().__init__(f"Not everything that was recorded by then has been read. {way}", watermark=until)


class PolicyNotFound(NotFound):
    """There is no policy with this content hash."""

    def __init__(self) -> None:
        super().__init__("There is no policy with this content hash. `GET /v1/policies` lists them.")


class ModelNotFound(NotFound):
    """There is no model with this content hash."""

    def __init__(self) -> None:
        super().__init__("There is no model with this content hash. `GET /v1/models` lists them.")


class ModelCurrency(Conflict):
    """The amounts of the model are in another currency than the reporting one."""
