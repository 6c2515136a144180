"""People, their teams, sessions and one-time links, and how fast passwords were tried."""

from alembic import op

revision = "0004"
down_revision = "0003"

PEOPLE = """
CREATE TABLE team (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    version int NOT NULL
);
CREATE UNIQUE INDEX team_name ON team (lower(name));
CREATE TABLE app_user (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL UNIQUE,
    roles text[] NOT NULL,
    team_id uuid REFERENCES team,
    language text NOT NULL,
    time_zone text,
    password_hash text,
    password_set_at timestamptz,
    totp_secret bytea,
    totp_pending bytea,
    totp_step bigint NOT NULL,
    recovery_hashes bytea[] NOT NULL,
    issuer text,
    subject text,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz,
    version int NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX app_user_team ON app_user (team_id);
CREATE INDEX app_user_name ON app_user (lower(name), id);
CREATE TABLE session (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    user_id uuid NOT NULL REFERENCES app_user,
    means text NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    address text,
    agent text
);
CREATE INDEX session_user_id ON session (user_id, id);
CREATE TABLE invitation (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    kind text NOT NULL,
    user_id uuid REFERENCES app_user,
    made_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    withdrawn_at timestamptz
);
CREATE INDEX invitation_user_id ON invitation (user_id);
CREATE UNLOGGED TABLE sign_in_attempt (
    place bytea PRIMARY KEY,
    full_at timestamptz NOT NULL
)
"""

# Not for last_seen_at, as with keys; a name is not part of who somebody is at the door.
ON_CHANGE = """
CREATE TRIGGER tell_app_user
AFTER DELETE OR UPDATE OF roles, team_id, disabled_at, issuer, subject
ON app_user FOR EACH STATEMENT EXECUTE FUNCTION tell_api_key();
CREATE TRIGGER tell_session
AFTER DELETE OR UPDATE OF ended_at, expires_at
ON session FOR EACH STATEMENT EXECUTE FUNCTION tell_api_key()
"""


def upgrade() -> None:
    for statement in (PEOPLE + ";" + ON_CHANGE).split(";"):
        if statement.strip():
            op.execute(statement)
