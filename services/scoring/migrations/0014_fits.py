"""Fits of models as they are asked for and carried out."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = """
CREATE TABLE fit (
    id uuid PRIMARY KEY,
    as_of date NOT NULL,
    activate boolean NOT NULL,
    force boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cancelled', 'failed')),
    parties bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    tries int NOT NULL DEFAULT 0,
    model text REFERENCES model,
    activated boolean NOT NULL DEFAULT false,
    refused jsonb,
    not_enough jsonb,
    asked_at timestamptz NOT NULL,
    asked_by text,
    started_at timestamptz,
    finished_at timestamptz,
    error text
);
CREATE UNIQUE INDEX fit_open ON fit ((true)) WHERE state IN ('waiting', 'running')
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
