"""Indexes of lists: all purchases and returns by time, and interactions and problems with a value that few have."""

from alembic import op

revision = "0009"
down_revision = "0008"

OWN = """
CREATE INDEX purchase_latest ON purchase (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX return_latest ON purchase_return (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX interaction_with_department ON interaction (department, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX interaction_of_kind ON interaction (kind, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX interaction_by_channel ON interaction (channel, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX problem_of_category ON problem (category, occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX problem_of_severity ON problem (severity, occurred_at, id) WHERE withdrawn_at IS NULL
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
