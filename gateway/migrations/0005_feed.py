"""The feed: what other systems and open pages are told, numbered without gaps."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE feed_staged (
    id bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    type text NOT NULL,
    party_id uuid NOT NULL,
    stage text,
    tier text,
    historic boolean NOT NULL,
    waits boolean NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (recorded_at, revision, id)
);

CREATE TABLE feed (
    seq bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    type text NOT NULL,
    party_id uuid NOT NULL,
    stage text,
    tier text,
    historic boolean NOT NULL,
    told_at timestamptz NOT NULL,
    body text NOT NULL
);

CREATE TABLE feed_reach (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_seq bigint NOT NULL DEFAULT 0,
    first_seq bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);
INSERT INTO feed_reach DEFAULT VALUES;

CREATE TABLE feed_holder (
    identity_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    days date[] NOT NULL,
    parties uuid[] NOT NULL
);

CREATE TABLE feed_owner (
    party_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    owner_id uuid,
    team_id uuid
)
"""


def upgrade() -> None:
    for statement in TABLES.split(";"):
        op.execute(statement)
