"""Whoever is asking, as they are told about themselves."""

from chassis.fields import Shown


class Me(Shown):
    """Whose credential it is, and what may be done with it."""

    id: str
    """`user_…`, or `key_…` of a system."""
    name: str
    scopes: list[str]
    """All roles that those given amount to."""
    language: str | None = None
    """`en`, `zh-Hant` or `zh-Hans`; null where none was chosen."""
    time_zone: str | None = None
    """IANA name; null where it is the installation's."""
