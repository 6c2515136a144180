"""Every telling that a party is known counts for itself, a post's too, until what told it is undone."""

from alembic import op

from chassis.migrations import index

revision = "0011"
down_revision = "0010"

OWN = """
ALTER TABLE registration ALTER COLUMN import_id DROP NOT NULL;
ALTER TABLE registration RENAME COLUMN identities TO given;
ALTER TABLE registration ADD COLUMN identity_id uuid;
ALTER TABLE registration ADD COLUMN kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'organisation'));
ALTER TABLE registration ADD COLUMN occurred_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE registration ADD COLUMN told uuid[] NOT NULL DEFAULT '{}';

UPDATE registration SET identity_id = party_id, told = party_id || given,
    kind = (SELECT kind FROM party WHERE party.id = party_id),
    occurred_at = coalesce((SELECT created_at FROM import_job WHERE import_job.id = import_id), now());

ALTER TABLE registration ALTER COLUMN identity_id SET NOT NULL;
ALTER TABLE registration ALTER COLUMN kind DROP DEFAULT;
ALTER TABLE registration ALTER COLUMN occurred_at DROP DEFAULT;
ALTER TABLE registration ALTER COLUMN told DROP DEFAULT
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
    index("registration_of_identity", "registration (identity_id)")
