"""The trail of administrative acts and of readings of contact data: chained by hash, and only added to."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLE = """
CREATE TABLE audit (
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    who text NOT NULL,
    team_id uuid,
    operation text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    ids text[] NOT NULL,
    query text NOT NULL,
    outcome int NOT NULL,
    address text NOT NULL,
    request_id text NOT NULL,
    requests int NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL
)
"""

REFUSAL = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('shuke.audit_retention', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit trail is only added to';
END $$
"""

TRIGGER = """
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
"""


def upgrade() -> None:
    """Make the table, and have it refuse every change."""
    op.execute(TABLE)
    op.execute("CREATE INDEX audit_who ON audit (who, seq)")
    op.execute("CREATE INDEX audit_ids ON audit USING gin (ids)")
    op.execute(REFUSAL)
    op.execute(TRIGGER)
