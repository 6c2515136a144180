"""What a service that imports files is told."""

from pydantic import Field

from chassis.installation import IdentifyingSettings

DEFAULT_CURRENCY = "EUR"
"""Where neither the rows, the request nor the installation name one; the answer shows it."""


class ImportingSettings(IdentifyingSettings):
    """Settings of a service that imports files."""

    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", validation_alias="SHUKE_CURRENCY")
    """Currency of imported rows that name none; EUR where it is not set."""
    max_import_bytes: int = Field(2_000_000_000, validation_alias="SHUKE_MAX_IMPORT_BYTES")
    """Largest file that an import may bring."""
