"""Every kind of file that community imports."""

from typing import Any

from chassis.imports.kinds import ImportKind
from services.community.handlers.imports.posts import POSTS

KINDS: tuple[ImportKind[Any], ...] = (POSTS,)
