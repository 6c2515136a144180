"""Whom the posts of an import named, also those that were withdrawn."""

from alembic import op

from chassis.migrations import index

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    index("post_of_member_of_import", "post (import_id, member_id) WHERE import_id IS NOT NULL")
    op.execute("DROP INDEX member_of_import")
