"""How many reports there may be at once."""

from contracts.problems import Unavailable

MOST = 2
"""Reports on everybody that one process of the API has computed at once."""


class ReportsBusy(Unavailable):
    """So many reports are being computed that another one would make all of them slow."""
