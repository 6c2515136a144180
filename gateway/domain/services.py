"""What may be wrong with a service behind the gateway."""

from contracts.problems import Problem, Unavailable


class ServiceUnavailable(Unavailable):
    """The service that answers here is not there just now."""


class ServiceFailed(Problem):
    """The service broke off its answer; whether the request was carried out is not known."""

    status = 502


class ServiceTimeout(Problem):
    """The service did not answer in time; whether the request was carried out is not known."""

    status = 504
