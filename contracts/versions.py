"""Versioned data that decides: immutable, and named by the hash of what it says."""

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

AS_WRITTEN = "as_written"
"""Context of a validation that puts nothing in another order."""


class Version(BaseModel):
    """Data whose identity is its content."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)

    @classmethod
    def stored(cls, document: str) -> Self:
        """What a stored JSON document says, as it is written there: the hash under which it is stored is its own."""
        return cls.model_validate_json(document, context=AS_WRITTEN)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what was worked out from the content, as its hash, is not taken over."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 in hex of the canonical JSON: sorted keys, no spaces."""
        said = self.model_dump(mode="json")
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _each_once(members: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
    return members if info.context == AS_WRITTEN else tuple(sorted(set(members), key=_place))


def _place(member: Any) -> Any:
    return list(type(member)).index(member) if isinstance(member, Enum) else member


EachOnce = AfterValidator(_each_once)
"""Of a tuple whose order and doubles say nothing: each member once, codes in the order of their enum. So what says the
same has the same hash."""
