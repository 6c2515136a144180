"""A part of an answer that several services give together."""

from enum import StrEnum


class Status(StrEnum):
    """What became of a part."""

    OK = "ok"
    NOT_FOUND = "not_found"
    """The service knows nothing of it."""
    FORBIDDEN = "forbidden"
    """The key may not read it."""
    SLOW = "slow"
    """The service did not answer in time."""
    UNAVAILABLE = "unavailable"
    """The service is not there, or failed."""
    NOT_INSTALLED = "not_installed"
    """The service is no part of this installation."""

    @property
    def has_nothing(self) -> bool:
        """Whether nothing will come of the part, however often it is asked for."""
        return self in (Status.NOT_FOUND, Status.NOT_INSTALLED)


def status_of(http_status: int) -> Status:
    """What the status of a service's answer means for its part."""
    if http_status < 300:
        return Status.OK
    return {401: Status.FORBIDDEN, 403: Status.FORBIDDEN, 404: Status.NOT_FOUND, 410: Status.NOT_FOUND}.get(
        http_status, Status.UNAVAILABLE
    )
