"""What cannot be asked of gaps."""

from contracts.problems import Conflict


class PartitionNotStopped(Conflict):
    """The partition has not stopped; there is no gap to be passed."""
