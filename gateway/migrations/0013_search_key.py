"""Whether a key leads a person to the search; it does until they say otherwise."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("ALTER TABLE app_user ADD COLUMN search_key boolean NOT NULL DEFAULT true")
