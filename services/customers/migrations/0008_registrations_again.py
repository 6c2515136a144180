"""What an undone import gave back can be given again, and whom it made known can become known again."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE identity ADD COLUMN given_back boolean NOT NULL DEFAULT false")
    op.execute("CREATE INDEX registration_of_party ON registration (party_id)")
