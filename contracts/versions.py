"""Versioned data that decides: immutable, and named by the hash of what it says."""

import hashlib
import json
from functools import lru_cache

from pydantic import BaseModel, ConfigDict


class Version(BaseModel):
    """Data whose identity is its content."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def content_hash(self) -> str:
        """SHA-256 in hex of the canonical JSON: sorted keys, no spaces."""
        return _content_hash(self)


@lru_cache(maxsize=256)
def _content_hash(version: Version) -> str:
    canonical = json.dumps(version.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
