"""Every kind of file that leads import."""

from typing import Any

from chassis.imports.kinds import ImportKind
from services.leads.handlers.imports.leads import LEADS
from services.leads.handlers.imports.outcomes import LEAD_OUTCOMES

KINDS: tuple[ImportKind[Any], ...] = (LEADS, LEAD_OUTCOMES)
