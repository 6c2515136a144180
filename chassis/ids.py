"""Ids: UUIDv7 inside, `party_<32 hex>` outside."""

import os
import re
import time
from random import Random
from typing import Any
from uuid import UUID

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_RANDOM = Random()
"""Seeded by the system. Ids are no secrets, and a system call for each costs as much as the rest of an event."""
# Python does so with the generator of its own module only: processes forked from one would make the same ids.
os.register_at_fork(after_in_child=_RANDOM.seed)


def uuid7() -> UUID:
    """A new id whose order is roughly that of creation: 48 bits of Unix milliseconds, 74 random (RFC 9562 §5.7)."""
    random = _RANDOM.getrandbits(80)
    return UUID(
        int=(time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )


def uuid7_hex() -> str:
    """The digits of a new `uuid7`, for what needs no more of it."""
    random = _RANDOM.getrandbits(80)
    made = time.time_ns() // 1_000_000 & (1 << 48) - 1
    return f"{made:012x}7{random >> 68 & 0xFFF:03x}{1 << 63 | random & (1 << 62) - 1:016x}"


def random_hex(size: int) -> str:
    """So many random bytes in hexadecimal digits, for what is no secret."""
    return f"{_RANDOM.getrandbits(size * 8):0{size * 2}x}"


def made_ms(id: UUID) -> int | None:
    """When a UUIDv7 was made, in Unix milliseconds; None of any other."""
    value = id.int
    return value >> 80 if value >> 76 & 0xF == 7 else None


def outer(prefix: str, id: str) -> str:
    """The outer spelling of an id in SQL; `id` is SQL too."""
    return f"'{prefix}_' || replace({id}::text, '-', '')"


class prefixed:
    """Shows a UUID outside as `{prefix}_<32 hex>`; inside, and where a `UUID` is given, it is one."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.pattern = rf"^{prefix}_[0-9a-f]{{32}}$"

    def text(self, id: UUID) -> str:
        """The outer spelling."""
        return f"{self.prefix}_{id.hex}"

    def parse(self, value: Any) -> UUID:
        """The id behind an outer spelling. The message of the failure never repeats the value."""
        if isinstance(value, UUID):
            return value
        if isinstance(value, str) and re.fullmatch(self.pattern[1:-1], value):
            return UUID(hex=value[len(self.prefix) + 1 :])
        raise PydanticCustomError(
            "prefixed_id", "Input should be an id such as {example}", {"example": f"{self.prefix}_{'0' * 32}"}
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.text, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": self.pattern, "examples": [f"{self.prefix}_{'0' * 32}"]}
