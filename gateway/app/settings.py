"""What the gateway must be told, and may be."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from chassis.settings import ServiceSettings
from gateway.domain.rates import Rate, Rates
from gateway.domain.roles import Role
from gateway.domain.sessions import IDLE_HOURS, LONGEST_DAYS
from gateway.domain.webhooks import FAILING, FAILURES


def _rate(text: Any) -> Any:
    return Rate.parse(text) if isinstance(text, str) else text


RateText = Annotated[Rate, NoDecode, BeforeValidator(_rate)]


class Settings(ServiceSettings, env_prefix="GATEWAY_"):
    """The gateway: its database, and where the services are."""

    services: Mapping[str, str]
    """Address of each service, as JSON: `{"customers": "http://…", "scoring": "http://…"}`."""
    max_import_bytes: int = Field(2_000_000_000, validation_alias="SHUKE_MAX_IMPORT_BYTES")
    """Largest file that an import may bring."""
    part_s: float = 1
    """Seconds that each service has for its part of an answer that several give together."""
    service_underway: int = Field(256, ge=1, le=100_000)
    """Requests that may be under way from one process to one service; long work has as many slots of its own."""
    service_waiting: int = Field(256, ge=0, le=100_000)
    """Requests that may wait for one of these slots, 5 s at most; what comes beyond is refused (503)."""
    limit_owner: RateText = Rate(1_000, 2_000)
    """Requests per second of an owner, and how many may come at once: `per_s/burst`."""
    limit_admin: RateText = Rate(1_000, 2_000)
    """The same for an admin."""
    limit_operator: RateText = Rate(500, 1_000)
    """The same for an operator."""
    limit_manager: RateText = Rate(200, 400)
    """The same for a manager."""
    limit_agent: RateText = Rate(100, 200)
    """The same for an agent."""
    limit_analyst: RateText = Rate(200, 400)
    """The same for an analyst."""
    limit_ingest: RateText = Rate(1_000, 2_000)
    """The same for who tells."""
    limit_reader: RateText = Rate(200, 400)
    """The same for a reader."""
    limit_stranger: RateText = Rate(2, 60)
    """The same for all requests without a valid key that come from one address."""
    limit_visitor: RateText = Rate(10, 300)
    """The same for pages that are asked for from one address by whoever is not signed in: an office has one."""
    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log the feed reads, as JSON, with a role that may only read it."""
    feed_retention_days: int = Field(7, ge=4, le=366)
    """Days for which the feed keeps what it told: longer than webhooks are tried again."""
    feed_historic_days: int = Field(7, ge=1, le=36_500)
    """What happened more days than this before it was recorded is told as historic, and what rests on it."""
    webhook_allow: str = ""
    """Hosts and networks inside that webhooks may call, also without TLS, separated by commas."""
    webhook_failures: int = Field(FAILURES, ge=1, le=1_000_000)
    """A webhook is paused when so many tries in a row have failed, and for so long:"""
    webhook_failing_hours: float = Field(FAILING / timedelta(hours=1), ge=0, le=72)
    """Hours for which they must have failed."""
    webhook_patience_s: float = Field(15, gt=0, le=30)
    """Seconds that a receiver has for its answer; later ones do not count."""
    streams: int = Field(1_000, ge=1, le=100_000)
    """Streams that may be open in one process."""
    streams_of_one: int = Field(100, ge=1, le=100_000)
    """Streams that one caller may have open there."""

    audit_retention_days: int = Field(1_096, ge=30)
    """Rows stay in the audit trail for so long."""
    issuer: str | None = None
    """URL of an outside issuer whose tokens are taken, and at which people may sign in."""
    audience: str | None = None
    """What its tokens must be made out for to be taken as bearers; without it none is taken."""
    jwks_url: str | None = None
    """Where its keys are; without it, where its discovery document says."""
    roles_claim: str | None = None
    """Claim, or path with dots, that has the roles; without it they are those that a person has here."""
    roles_mapping: Mapping[str, Role] = Field(default_factory=dict)
    """Words of the issuer for roles, as JSON: `{"crm-admins": "admin"}`; a role's own name needs none."""
    team_claim: str | None = None
    """Claim, or path with dots, that has the team: its id or its name here."""
    oidc_client_id: str | None = None
    """What the issuer knows this installation by; with it people sign in there."""
    oidc_client_secret: SecretStr | None = None
    """The secret that goes with it; none for a public client."""
    oidc_redirect_url: str = "http://127.0.0.1:8000/sign-in/oidc"
    """Where the issuer sends browsers back to: `/sign-in/oidc` behind the address of the console."""
    oidc_scopes: str = "openid profile email"
    """What the issuer is asked to tell."""
    oidc_name: str = "OpenID"
    """What the button of the sign-in page calls the issuer."""
    oidc_makes_people: bool = False
    """Whether somebody new is made at the first sign-in; the roles claim then says what they may."""
    session_idle_hours: float = Field(IDLE_HOURS, gt=0)
    """A session ends that nobody used for so long."""
    session_days: float = Field(LONGEST_DAYS, gt=0)
    """A session ends after so long, however much it is used."""

    @property
    def session_idle(self) -> timedelta:
        """How long a session may lie idle."""
        return timedelta(hours=self.session_idle_hours)

    def rates(self) -> Rates:
        """The limits of the roles."""
        return Rates(
            {
                Role.OWNER: self.limit_owner,
                Role.ADMIN: self.limit_admin,
                Role.OPERATOR: self.limit_operator,
                Role.MANAGER: self.limit_manager,
                Role.AGENT: self.limit_agent,
                Role.ANALYST: self.limit_analyst,
                Role.INGEST: self.limit_ingest,
                Role.READER: self.limit_reader,
            }
        )
