"""Imports of every kind, also of parties, and what each of those made known."""

from alembic import op

revision = "0004"
down_revision = "0003"

OWN = """
ALTER TABLE import_job DROP CONSTRAINT import_job_kind_check;
ALTER TABLE import_job ALTER COLUMN currency DROP NOT NULL;
ALTER TABLE import_job ADD COLUMN day date;
ALTER TABLE import_job ADD COLUMN noted int NOT NULL DEFAULT 0;

CREATE TABLE registration (
    id uuid PRIMARY KEY,
    import_id uuid NOT NULL,
    party_id uuid NOT NULL,
    fact_id uuid,
    identities uuid[] NOT NULL,
    withdrawn_at timestamptz
);
CREATE INDEX registration_of_import ON registration (import_id, id) WHERE withdrawn_at IS NULL
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
