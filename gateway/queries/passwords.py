"""Passwords are hashed apart from the event loop, a few at a time."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from contracts.problems import Unavailable
from gateway.domain.passwords import canonical

T = TypeVar("T")

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""Argon2id as OWASP's Password Storage Cheat Sheet asks for it at least: some 30 ms and 19 MiB each."""
AT_ONCE = 2
WAITING_MOST = 100
"""Who comes behind so many is asked to come again."""


class Passwords:
    """Hashes passwords and compares them. What is refused takes as long as what is not."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=LANES)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        salt, digest = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={passes},p={LANES}${salt}${digest}"

    async def hashed(self, password: str) -> str:
        """What is kept of a password. Raises `Unavailable` where too many wait."""
        return await self._apart(lambda: self._hasher.hash(canonical(password)))

    async def fits(self, kept: str | None, password: str) -> bool:
        """Whether it is the password of which this is kept; of whom nothing is kept, nothing fits, as slowly."""
        return await self._apart(lambda: self._compared(kept or self._nobodys, password))

    def is_outdated(self, kept: str) -> bool:
        """Whether it was hashed with other parameters than those of now."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compared(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, canonical(password))
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MOST:
            raise Unavailable("Too many sign in at this moment.", retry_after_s=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
