"""Webhooks, and what is to be delivered to each."""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
CREATE TABLE webhook (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    types text[],
    stages text[],
    tiers text[],
    historic boolean NOT NULL,
    secret text NOT NULL,
    previous_secret text,
    previous_until timestamptz,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    notice text,
    position bigint NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);

CREATE TABLE webhook_delivery (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
    seq bigint NOT NULL,
    message_id text NOT NULL,
    type text NOT NULL,
    party_id uuid NOT NULL,
    merged_into uuid,
    body text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered')),
    attempts int NOT NULL DEFAULT 0,
    planned_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    first_at timestamptz,
    last_at timestamptz,
    response_code int,
    duration_ms int,
    error text
);
CREATE INDEX ON webhook_delivery (webhook_id, id);
CREATE INDEX ON webhook_delivery (webhook_id, next_at) WHERE state = 'waiting';
CREATE INDEX ON webhook_delivery (webhook_id, party_id, id) WHERE state = 'waiting';
CREATE INDEX ON webhook_delivery (webhook_id, merged_into, id) WHERE state = 'waiting' AND merged_into IS NOT NULL;
CREATE INDEX ON webhook_delivery (last_at) WHERE state = 'delivered'
"""


def upgrade() -> None:
    for statement in TABLES.split(";"):
        op.execute(statement)
