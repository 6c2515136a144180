"""Who was told apart is found by either of two."""

from chassis.migrations import index

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    index("told_apart_of_other", "told_apart (other_id)")
