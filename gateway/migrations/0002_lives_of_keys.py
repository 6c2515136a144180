"""Keys that expire, are rotated, have rates of their own, and tell each gateway process of every change."""

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
ALTER TABLE api_key
    ADD COLUMN last_four text,
    ADD COLUMN previous_hash bytea UNIQUE,
    ADD COLUMN previous_until timestamptz,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN rotated_at timestamptz,
    ADD COLUMN rate_per_s int,
    ADD COLUMN rate_burst int
"""

TELL = """
CREATE FUNCTION tell_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('api_key', '');
    RETURN NULL;
END
$$
"""

# Not for last_used_at: every process would ask anew for every key each time that one of them notes its use.
ON_CHANGE = """
CREATE TRIGGER tell_api_key
AFTER DELETE OR UPDATE OF name, scopes, secret_hash, previous_hash, previous_until, expires_at, revoked_at,
    rate_per_s, rate_burst
ON api_key FOR EACH STATEMENT EXECUTE FUNCTION tell_api_key()
"""


def upgrade() -> None:
    for statement in (COLUMNS, TELL, ON_CHANGE):
        op.execute(statement)
