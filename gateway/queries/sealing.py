"""Secrets that must be read again, kept unreadable in the database and in dumps of it."""

import hashlib
import hmac
from uuid import UUID

import structlog
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, or_, select

from gateway.domain.totp import SECRET_BYTES
from gateway.models.users import AppUser

log = structlog.get_logger()


class Unsealable(Exception):
    """It was sealed with another `SHUKE_INTERNAL_SECRET`, or for something else."""


class Seal:
    """Seals for one purpose, with a key that comes from the secret of the installation."""

    def __init__(self, internal_secret: str, purpose: bytes) -> None:
        self._key = OctKey.import_key(hmac.digest(internal_secret.encode(), purpose, hashlib.sha256))

    def seal(self, secret: str) -> str:
        """What is stored (JWE, A256GCM)."""
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, secret.encode(), self._key)

    def open(self, sealed: str) -> str:
        """What was sealed. Raises `Unsealable`."""
        try:
            plaintext = jwe.decrypt_compact(sealed, self._key).plaintext
        except (JoseError, ValueError) as error:
            raise Unsealable("It was sealed with another secret of the installation.") from error
        assert plaintext is not None
        return plaintext.decode()


class SecondSteps:
    """Seals what the authenticator apps of people share with us, for each person with a key of their own."""

    def __init__(self, internal_secret: str) -> None:
        self._internal_secret = internal_secret

    def sealed(self, user_id: UUID, secret: bytes) -> bytes:
        """What is stored."""
        return self._seal(user_id).seal(secret.hex()).encode()

    def opened(self, user_id: UUID, kept: bytes) -> bytes | None:
        """What was sealed; None where nobody can open it any more: a recovery code still works then."""
        if is_clear(kept):
            return kept
        try:
            return bytes.fromhex(self._seal(user_id).open(kept.decode()))
        except (Unsealable, ValueError):
            log.warning("a second step cannot be opened", user=f"user_{user_id.hex}")
            return None

    def _seal(self, user_id: UUID) -> Seal:
        return Seal(self._internal_secret, b"shuke second steps " + user_id.bytes)


def is_clear(kept: bytes) -> bool:
    """Whether a secret of an authenticator app is stored as it is, as earlier versions did."""
    return len(kept) == SECRET_BYTES


async def seal_second_steps(session: AsyncSession, steps: SecondSteps) -> int:
    """Seal in place what an earlier version, or a backup of one, has left readable; how many people that were."""
    in_clear = (
        func.octet_length(col(column)) == SECRET_BYTES for column in (AppUser.totp_secret, AppUser.totp_pending)
    )
    found = (await session.execute(select(AppUser).where(or_(*in_clear)).with_for_update())).scalars().all()
    for row in found:
        if row.totp_secret is not None and is_clear(row.totp_secret):
            row.totp_secret = steps.sealed(row.id, row.totp_secret)
        if row.totp_pending is not None and is_clear(row.totp_pending):
            row.totp_pending = steps.sealed(row.id, row.totp_pending)
    return len(found)
