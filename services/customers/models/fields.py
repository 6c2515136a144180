"""Ids and values of customers alone."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from chassis.ids import prefixed

InteractionId = Annotated[UUID, prefixed("interaction")]
MergeId = Annotated[UUID, prefixed("merge")]
ObservationId = Annotated[UUID, prefixed("observation")]
OwnershipId = Annotated[UUID, prefixed("ownership")]
ProblemId = Annotated[UUID, prefixed("problem")]
PurchaseId = Annotated[UUID, prefixed("purchase")]
ReturnId = Annotated[UUID, prefixed("return")]
StepId = Annotated[UUID, prefixed("step")]
PlainText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Without NUL, which no text of the database holds."""
LONGEST_TEXT = 20_000
LongText = Annotated[PlainText, Field(max_length=LONGEST_TEXT)]
Product = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
