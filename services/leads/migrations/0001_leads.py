"""Leads, their versions, rubrics, and whose identity is whose."""

from alembic import op

from chassis import assignments, installation
from chassis.db import TABLES

revision = "0001"
down_revision = None

OWN = """
CREATE TABLE lead (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    other_ids uuid[] NOT NULL,
    identifiers jsonb NOT NULL,
    system text NOT NULL,
    source_id text,
    content_hash bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    source text NOT NULL,
    medium text,
    campaign text,
    attributes jsonb NOT NULL,
    note text,
    status text NOT NULL CHECK (status IN ('new', 'qualified', 'disqualified', 'won', 'lost')),
    grade text NOT NULL CHECK (grade IN ('A', 'B', 'C', 'D')),
    points int NOT NULL,
    met text[] NOT NULL,
    rubric text NOT NULL,
    owner_id uuid,
    team_id uuid,
    owner_version int NOT NULL DEFAULT 0,
    import_id uuid,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    withdrawn_at timestamptz
);
CREATE UNIQUE INDEX lead_in_source ON lead (system, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_of_identity ON lead (identity_id);
CREATE INDEX lead_of_other_identity ON lead USING gin (other_ids) WITH (fastupdate = off);
CREATE INDEX lead_by_time ON lead (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_by_status ON lead (status, grade, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_by_owner ON lead (owner_id, occurred_at, id) WHERE withdrawn_at IS NULL AND owner_id IS NOT NULL;
CREATE INDEX lead_by_team ON lead (team_id, occurred_at, id) WHERE withdrawn_at IS NULL AND team_id IS NOT NULL;
CREATE INDEX lead_by_campaign ON lead (campaign, occurred_at, id) WHERE withdrawn_at IS NULL AND campaign IS NOT NULL;
CREATE INDEX lead_by_source ON lead (source, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX lead_of_import ON lead (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL;

CREATE TABLE lead_version (
    lead_id uuid NOT NULL REFERENCES lead,
    version int NOT NULL,
    change text NOT NULL,
    event_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    status text NOT NULL,
    grade text NOT NULL,
    points int NOT NULL,
    met text[] NOT NULL,
    rubric text NOT NULL,
    owner_id uuid,
    team_id uuid,
    attributes jsonb,
    note text,
    reason text,
    competitor text,
    amount_minor bigint,
    currency text,
    undoes int,
    import_id uuid,
    PRIMARY KEY (lead_id, version)
);
CREATE INDEX lead_version_of_import ON lead_version (import_id, lead_id, version)
    WHERE import_id IS NOT NULL AND change <> 'captured';

CREATE TABLE rubric (
    hash text PRIMARY KEY,
    document text NOT NULL
);

CREATE TABLE activation (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rubric text NOT NULL REFERENCES rubric,
    active_from timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'superseded')),
    leads bigint NOT NULL DEFAULT 0,
    graded bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    after_lead uuid,
    started_at timestamptz,
    finished_at timestamptz
);
CREATE UNIQUE INDEX activation_open ON activation ((true)) WHERE state IN ('waiting', 'running')
"""


def upgrade() -> None:
    for statement in (TABLES + OWN).split(";"):
        if statement.strip():
            op.execute(statement)
    installation.create_tables(op.execute)
    assignments.create_tables(op.execute)
