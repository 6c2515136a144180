"""Versioned data that decides: immutable, and named by the hash of what it says."""

import hashlib
import json
from functools import cached_property

from pydantic import BaseModel, ConfigDict


class Version(BaseModel):
    """Data whose identity is its content."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 in hex of the canonical JSON: sorted keys, no spaces."""
        said = self.model_dump(mode="json")
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()
