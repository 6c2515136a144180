"""Settings that every service has. Each reads its own under a prefix, and the common ones under `SHUKE_`."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _networks(text: str) -> str:
    for each in text.split(","):
        ip_network(each.strip())
    return text


Networks = Annotated[str, AfterValidator(_networks)]
"""IP addresses and networks, separated by commas. There is no word for all of them: whoever may name the client may be
anybody."""


class ServiceSettings(BaseSettings):
    """A service declares `class Settings(ServiceSettings, env_prefix="CUSTOMERS_")`."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, populate_by_name=True, extra="ignore")

    database_url: str
    """`postgresql+asyncpg://user:password@host:port/name`: the service's own database."""
    pool_size: int = 10
    """Connections of this process to its database."""
    silence_s: float = Field(30, gt=0)
    """Seconds without an answer to a statement after which a connection to the database is given up."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """Port to listen on; 0 takes a free one."""
    max_body_bytes: int = 10_000_000
    """Largest request body, except where a route streams."""
    underway: int = Field(2_000, ge=1)
    """Requests that may be under way in one process of a service; what comes beyond is refused (503). The gateway has
    bounds of its own."""
    trusted_proxies: Networks | None = None
    """Proxies whose word counts on where a request comes from (`X-Forwarded-For`): addresses or networks, separated by
    commas. What any other client says there is ignored."""
    stall_s: float = 30
    """Seconds after which a client is cut off that does not send the head of its request; at the gateway, one that
    neither sends nor takes anything at all."""
    internal_secret: SecretStr = Field(validation_alias="SHUKE_INTERNAL_SECRET")
    """Signs who is asking between the gateway and the services; at least 32 random characters."""
    bus_url: str = Field("log://", validation_alias="SHUKE_BUS_URL")
    """`log://` (the event log in PostgreSQL) or `kafka://host:port,host:port`."""
    log_retention_days: int = Field(35, ge=1, validation_alias="SHUKE_LOG_RETENTION_DAYS")
    """Events stay in the log, and on Kafka, for so long; the log drops whole weeks."""
    dead_letter_retention_days: int = Field(90, ge=1, validation_alias="SHUKE_DEAD_LETTER_RETENTION_DAYS")
    """A dead letter that is closed goes so long after it failed; an open one stays."""
    idempotency_retention_hours: int = Field(24, ge=1, validation_alias="SHUKE_IDEMPOTENCY_RETENTION_HOURS")
    """A request that comes again under its Idempotency-Key gets the first answer for so long."""
    outbox_limit: int = Field(100_000, ge=1, validation_alias="SHUKE_OUTBOX_LIMIT")
    """While more events than this wait for their numbers, what would add to them is refused (503)."""
    disk_folder: Path | None = Field(None, validation_alias="SHUKE_DISK_FOLDER")
    """A folder on the disk that must not run full, such as that of the databases, if it is on this machine."""
    disk_least_mb: int = Field(500, ge=0, validation_alias="SHUKE_DISK_LEAST_MB")
    """While that disk has less room, what would be recorded is refused (503)."""
    time_zone: str = Field("UTC", validation_alias="SHUKE_TIME_ZONE")
    """IANA name of the installation's time zone: what a local day is."""
    log_level: str = Field("INFO", validation_alias="SHUKE_LOG_LEVEL")
    """`DEBUG`, `INFO`, `WARNING` or `ERROR`."""

    @property
    def on_kafka(self) -> bool:
        """Whether events wait to be published after they have their numbers."""
        return self.bus_url.startswith("kafka://")
