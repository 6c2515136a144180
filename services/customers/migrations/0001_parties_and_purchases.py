"""Parties, identities, merges, purchases and returns."""

from alembic import op

from chassis.db import TABLES

revision = "0001"
down_revision = None

OWN = """
CREATE SEQUENCE assignment_version;

CREATE TABLE identity_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fingerprint bytea NOT NULL
);

CREATE TABLE party (
    id uuid PRIMARY KEY,
    kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'organisation')),
    resolves_to uuid NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
CREATE INDEX party_merged ON party (resolves_to) WHERE resolves_to <> id;

CREATE TABLE identity (
    id uuid PRIMARY KEY,
    scheme text CHECK (scheme IN ('email', 'phone', 'external')),
    system text,
    value text,
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);

CREATE TABLE holding (
    identity_id uuid NOT NULL,
    nth smallint NOT NULL,
    party_id uuid NOT NULL,
    from_day date,
    until_day date,
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (identity_id, nth)
);
CREATE INDEX ix_holding_party_id ON holding (party_id);

CREATE TABLE merge (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES party,
    other_id uuid NOT NULL REFERENCES party,
    merged_at timestamptz NOT NULL,
    unmerged_at timestamptz,
    CHECK (party_id < other_id)
);
CREATE INDEX ix_merge_party_id ON merge (party_id);
CREATE INDEX ix_merge_other_id ON merge (other_id);
CREATE UNIQUE INDEX merge_active ON merge (party_id, other_id) WHERE unmerged_at IS NULL;

CREATE TABLE purchase (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    channel text,
    lines jsonb NOT NULL,
    import_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX purchase_in_source ON purchase (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX purchase_of_identity ON purchase (identity_id, occurred_at);
CREATE INDEX purchase_of_import ON purchase (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL;

CREATE TABLE purchase_return (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    purchase_id uuid REFERENCES purchase,
    source text NOT NULL,
    source_id text,
    original_id text,
    occurred_at timestamptz NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    channel text,
    import_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX return_in_source ON purchase_return (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX return_of_identity ON purchase_return (identity_id, occurred_at);
CREATE INDEX return_of_purchase ON purchase_return (purchase_id) WHERE purchase_id IS NOT NULL;
CREATE INDEX return_of_import ON purchase_return (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL
"""


def upgrade() -> None:
    for statement in (TABLES + OWN).split(";"):
        if statement.strip():
            op.execute(statement)
