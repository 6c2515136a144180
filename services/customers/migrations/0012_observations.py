"""How parties feel and what they like and need, as somebody noticed it."""

from alembic import op

revision = "0012"
down_revision = "0011"

OWN = """
CREATE TABLE observation (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    aspect text NOT NULL,
    text text,
    rating smallint CHECK (rating BETWEEN 1 AND 5),
    certainty text NOT NULL CHECK (certainty IN ('guessed', 'noticed', 'stated')),
    author_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK (text IS NOT NULL OR rating IS NOT NULL)
);
CREATE UNIQUE INDEX observation_in_source ON observation (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX observation_of_identity ON observation (identity_id, occurred_at, id)
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
