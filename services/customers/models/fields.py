"""Ids and values of customers alone."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from chassis.ids import prefixed

MergeId = Annotated[UUID, prefixed("merge")]
PurchaseId = Annotated[UUID, prefixed("purchase")]
ReturnId = Annotated[UUID, prefixed("return")]
Product = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
