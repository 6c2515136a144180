"""What may be wrong with a service behind the gateway."""

from collections.abc import Iterable

from contracts.problems import NotFound, Problem, Unavailable


class ServiceNotFound(NotFound):
    """No service of this installation has this name."""

    def __init__(self, services: Iterable[str]) -> None:
        super().__init__(
            "No service of this installation has this name. `services` are those there are.", services=sorted(services)
        )


class ServiceUnavailable(Unavailable):
    """The service that answers here is not there just now."""


class ServiceFailed(Problem):
    """The service broke off its answer; whether the request was carried out is not known."""

    status = 502


class ServiceTimeout(Problem):
    """The service did not answer in time; whether the request was carried out is not known."""

    status = 504
