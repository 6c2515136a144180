"""Views of lists that people keep for themselves."""

from contracts.problems import Conflict, NotFound

MOST = 100
"""Views that one person keeps."""


class ViewNotFound(NotFound):
    """Whoever asks keeps no view with this id."""


class TooManyViews(Conflict):
    """Somebody keeps as many views as one person may."""
