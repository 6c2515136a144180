"""The kinds of files that customers imports."""

from typing import Any

from chassis.imports.kinds import ImportKind
from services.customers.handlers.imports.interactions import INTERACTIONS
from services.customers.handlers.imports.parties import PARTIES
from services.customers.handlers.imports.purchases import PURCHASES, RETURNS

KINDS: tuple[ImportKind[Any], ...] = (PURCHASES, RETURNS, PARTIES, INTERACTIONS)
"""The first is taken where a caller names none."""
