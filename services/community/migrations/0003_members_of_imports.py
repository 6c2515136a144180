"""Whom the posts of an import named, also those that were withdrawn."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE INDEX post_of_member_of_import ON post (import_id, member_id) WHERE import_id IS NOT NULL")
    op.execute("DROP INDEX member_of_import")
