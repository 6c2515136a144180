"""Values that appear in several shapes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chassis.ids import prefixed
from contracts.event import Digest

RebuildId = Annotated[UUID, prefixed("rebuild")]
TrialId = Annotated[UUID, prefixed("trial")]
FitId = Annotated[UUID, prefixed("fit")]
ActivationId = Annotated[UUID, prefixed("activation")]
OverrideId = Annotated[UUID, prefixed("override")]
ProgrammeId = Annotated[UUID, prefixed("programme")]

PolicyHash = Digest
"""Names a policy by its content."""
ModelHash = Digest
"""Names a model by its content."""

AnyWhole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number in a cursor that the database can hold."""
AnyInstant = Annotated[datetime, Meta(tz=True)]
"""An instant in a cursor."""
AnyHash = Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")]
"""A content hash in a cursor, or nothing before the first."""
