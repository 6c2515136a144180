"""Indexes of lists: all purchases and returns by time, and interactions and problems with a value that few have."""

from chassis.migrations import index

revision = "0009"
down_revision = "0008"

INDEXES = {
    "purchase_latest": "purchase (occurred_at, id) WHERE withdrawn_at IS NULL",
    "return_latest": "purchase_return (occurred_at, id) WHERE withdrawn_at IS NULL",
    "interaction_with_department": "interaction (department, occurred_at, id) WHERE withdrawn_at IS NULL",
    "interaction_of_kind": "interaction (kind, occurred_at, id) WHERE withdrawn_at IS NULL",
    "interaction_by_channel": "interaction (channel, occurred_at, id) WHERE withdrawn_at IS NULL",
    "problem_of_category": "problem (category, occurred_at, id) WHERE withdrawn_at IS NULL",
    "problem_of_severity": "problem (severity, occurred_at, id) WHERE withdrawn_at IS NULL",
}


def upgrade() -> None:
    for name, on in INDEXES.items():
        index(name, on)
