"""API keys."""

from alembic import op

from chassis.db import TABLES

revision = "0001"
down_revision = None

OWN = """
CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    scopes text[] NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
)
"""


def upgrade() -> None:
    for statement in (TABLES + OWN).split(";"):
        if statement.strip():
            op.execute(statement)
