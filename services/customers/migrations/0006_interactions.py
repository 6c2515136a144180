"""Interactions, problems, owners, the former versions of what was put right, and what rows of imports do not say."""

from alembic import op

revision = "0006"
down_revision = "0005"

OWN = """
CREATE TABLE problem (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    category text NOT NULL,
    severity text NOT NULL,
    title text,
    description text,
    author_id uuid,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'solved')),
    opened_at timestamptz NOT NULL,
    solved_at timestamptz,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK ((status = 'solved') = (solved_at IS NOT NULL))
);
CREATE UNIQUE INDEX problem_in_source ON problem (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX problem_of_identity ON problem (identity_id, occurred_at, id);
CREATE INDEX problem_latest ON problem (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX problem_open ON problem (occurred_at, id) WHERE withdrawn_at IS NULL AND status = 'open';

CREATE TABLE problem_step (
    id uuid PRIMARY KEY,
    problem_id uuid NOT NULL REFERENCES problem,
    identity_id uuid NOT NULL,
    version int NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'solved', 'reopened')),
    occurred_at timestamptz NOT NULL,
    note text,
    author_id uuid,
    recorded_at timestamptz NOT NULL,
    UNIQUE (problem_id, version)
);
CREATE INDEX problem_step_of_identity ON problem_step (identity_id, occurred_at, id);

CREATE TABLE interaction (
    id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    source text NOT NULL,
    source_id text,
    occurred_at timestamptz NOT NULL,
    department text NOT NULL,
    role text,
    channel text NOT NULL,
    kind text NOT NULL,
    direction text NOT NULL,
    attitude smallint CHECK (attitude BETWEEN 1 AND 5),
    speed smallint CHECK (speed BETWEEN 1 AND 5),
    quality smallint CHECK (quality BETWEEN 1 AND 5),
    text text,
    problem_id uuid REFERENCES problem DEFERRABLE INITIALLY DEFERRED,
    problem_category text,
    problem_severity text,
    loss_reason text,
    competitor text,
    author_id uuid,
    import_id uuid,
    fact_id uuid NOT NULL,
    version int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK ((kind = 'declined') = (loss_reason IS NOT NULL))
);
CREATE UNIQUE INDEX interaction_in_source ON interaction (source, source_id) WHERE withdrawn_at IS NULL;
CREATE INDEX interaction_of_identity ON interaction (identity_id, occurred_at, id);
CREATE INDEX interaction_latest ON interaction (occurred_at, id) WHERE withdrawn_at IS NULL;
CREATE INDEX interaction_of_problem ON interaction (problem_id, occurred_at, id) WHERE problem_id IS NOT NULL;
CREATE INDEX interaction_of_import ON interaction (import_id, id) WHERE import_id IS NOT NULL AND withdrawn_at IS NULL;

CREATE TABLE former_version (
    of_id uuid NOT NULL,
    version int NOT NULL,
    content jsonb NOT NULL,
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (of_id, version)
);

CREATE TABLE party_owner (
    party_id uuid PRIMARY KEY REFERENCES party,
    owner_id uuid,
    team_id uuid,
    note text,
    version int NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX party_owner_of_user ON party_owner (owner_id, party_id) WHERE owner_id IS NOT NULL;
CREATE INDEX party_owner_of_team ON party_owner (team_id, party_id) WHERE team_id IS NOT NULL;

CREATE TABLE ownership (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES party,
    version int NOT NULL,
    owner_id uuid,
    team_id uuid,
    note text,
    reason text NOT NULL CHECK (reason IN ('assigned', 'handed_over', 'merged')),
    changed_at timestamptz NOT NULL,
    UNIQUE (party_id, version)
);
CREATE INDEX ownership_of_party ON ownership (party_id, changed_at, id);

ALTER TABLE import_job ADD COLUMN constants jsonb NOT NULL DEFAULT '{}';

DROP INDEX purchase_of_identity;
CREATE INDEX purchase_of_identity ON purchase (identity_id, occurred_at, id);
DROP INDEX return_of_identity;
CREATE INDEX return_of_identity ON purchase_return (identity_id, occurred_at, id)
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
