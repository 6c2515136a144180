"""Facts of every kind, why parties are lost, and who takes care of them."""

from alembic import op

revision = "0002"
down_revision = "0001"

# The ruling at the end changes nothing but that everybody is assessed again, by what is stored from here on.
# An update that changes an indexed column costs an entry in every index that holds the row. What the new indexes are
# on changes with the stage, with the reason or with the owner alone, and they hold lost and owned parties alone.
STATEMENTS = """
ALTER TABLE fact RENAME COLUMN currency TO detail;
ALTER TABLE fact ADD COLUMN opened_at timestamptz;

ALTER TABLE party
    ADD COLUMN last_sign_day date,
    ADD COLUMN loss_reason text,
    ADD COLUMN next_stage text,
    ADD COLUMN owner_id uuid,
    ADD COLUMN team_id uuid,
    ADD COLUMN owner_version bigint NOT NULL DEFAULT 0;
CREATE INDEX party_lost ON party (since, party_id) WHERE loss_reason IS NOT NULL;
CREATE INDEX party_owned ON party (owner_id, party_id) WHERE owner_id IS NOT NULL;
CREATE INDEX party_of_team ON party (team_id, party_id) WHERE team_id IS NOT NULL;

ALTER TABLE lived_move ADD COLUMN loss_reason text;

INSERT INTO ruling (active_from, reason, policy, cut_points, last_rate, currency)
SELECT active_from, 'rebuild', policy, cut_points, last_rate, currency FROM ruling ORDER BY id DESC LIMIT 1
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
