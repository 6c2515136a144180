"""Programmes that are to win lost customers back, each with who was drawn for it."""

from alembic import op

revision = "0024"
down_revision = "0023"

STATEMENTS = """
CREATE TABLE programme (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    lost_on date NOT NULL,
    within_days int NOT NULL,
    share float8 NOT NULL,
    reasons text[] NOT NULL,
    tiers text[] NOT NULL,
    not_lost int NOT NULL,
    contacted int NOT NULL,
    others int NOT NULL,
    begun_at timestamptz NOT NULL,
    begun_by text NOT NULL
);
CREATE INDEX programme_begun ON programme (begun_at, id);
CREATE TABLE programme_member (
    programme_id uuid NOT NULL REFERENCES programme,
    party_id uuid NOT NULL,
    contact boolean NOT NULL,
    PRIMARY KEY (programme_id, party_id)
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
