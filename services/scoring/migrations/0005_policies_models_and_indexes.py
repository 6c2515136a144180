"""Policies with a life, models, trials, overrides, both indexes, and what was known when."""

import sqlalchemy as sa
from alembic import op

from services.scoring.domain.presets import DAYS_1

revision = "0005"
down_revision = "0004"

# The ruling at the end changes nothing but that everybody is assessed again, by what is stored from here on.
STATEMENTS = """
ALTER TABLE fact
    ADD COLUMN rating smallint NOT NULL DEFAULT 0,
    ADD COLUMN channel text,
    ADD COLUMN competitor text;

ALTER TABLE party
    ADD COLUMN p double precision,
    ADD COLUMN turnover_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN level text,
    ADD COLUMN satisfaction double precision,
    ADD COLUMN satisfaction_band text,
    ADD COLUMN loyalty double precision,
    ADD COLUMN loyalty_band text,
    ADD COLUMN posture text,
    ADD COLUMN treatment text,
    ADD COLUMN flags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN vip boolean NOT NULL DEFAULT false;
CREATE INDEX party_vip ON party (value_minor, party_id) WHERE vip;

ALTER TABLE policy
    ADD COLUMN state text NOT NULL DEFAULT 'draft'
        CHECK (state IN ('draft', 'tried', 'approved', 'active', 'retired')),
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN created_by text,
    ADD COLUMN tried_at timestamptz,
    ADD COLUMN approved_at timestamptz,
    ADD COLUMN approved_by text,
    ADD COLUMN retired_at timestamptz;

CREATE TABLE model (
    hash text PRIMARY KEY,
    document jsonb NOT NULL,
    quality jsonb,
    state text NOT NULL CHECK (state IN ('fitted', 'active', 'retired')),
    as_of date NOT NULL,
    fitted_at timestamptz NOT NULL
);
CREATE INDEX model_fitted ON model (fitted_at, hash);
ALTER TABLE ruling ADD COLUMN model text REFERENCES model;

CREATE TABLE planned_activation (
    id uuid PRIMARY KEY,
    policy text REFERENCES policy,
    model text REFERENCES model,
    active_from timestamptz NOT NULL,
    planned_at timestamptz NOT NULL,
    planned_by text,
    done_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX planned_activation_open ON planned_activation (active_from)
WHERE done_at IS NULL AND cancelled_at IS NULL;

CREATE TABLE trial (
    id uuid PRIMARY KEY,
    policy text NOT NULL REFERENCES policy,
    model text REFERENCES model,
    from_day date,
    until_day date,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cancelled', 'failed')),
    parties bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    result jsonb,
    asked_at timestamptz NOT NULL,
    asked_by text,
    started_at timestamptz,
    finished_at timestamptz,
    error text
);
CREATE INDEX trial_open ON trial (id) WHERE state IN ('waiting', 'running');

CREATE TABLE trial_move (
    trial_id uuid NOT NULL REFERENCES trial ON DELETE CASCADE,
    place bigint NOT NULL,
    party_id uuid NOT NULL,
    at timestamptz NOT NULL,
    from_stage text,
    to_stage text,
    from_tier text,
    to_tier text,
    kind text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (trial_id, place)
);

CREATE TABLE assignment_told (
    identity_id uuid NOT NULL,
    version bigint NOT NULL,
    parties uuid[] NOT NULL,
    from_days date[] NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (identity_id, version)
);
INSERT INTO assignment_told SELECT identity_id, version, parties, from_days, '-infinity' FROM assignment;

CREATE TABLE override (
    fact_id uuid PRIMARY KEY,
    identity_id uuid NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    why text NOT NULL,
    set_by text,
    set_at timestamptz NOT NULL,
    until_day date,
    ended_at timestamptz,
    ended_by text
);
CREATE INDEX override_of_identity ON override (identity_id, set_at)
"""

AGAIN = """
INSERT INTO ruling (active_from, reason, policy, cut_points, last_rate, currency)
SELECT active_from, 'rebuild', policy, cut_points, last_rate, currency FROM ruling ORDER BY id DESC LIMIT 1
"""

# The entry of a problem that was solved says from here on when it was opened: calendars that have one are folded anew.
# A rebuild that is under way begins again, as it has folded some of them already.
FOLDED_ANEW = (
    "UPDATE rebuild SET state = 'waiting' WHERE state = 'running'",
    """
    INSERT INTO rebuild (id, state, time_zone, requested_at)
    SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid, 'waiting', time_zone, now()
    FROM installation
    WHERE EXISTS (SELECT FROM fact WHERE opened_at IS NOT NULL)
    ON CONFLICT DO NOTHING
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        op.execute(statement)
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT EXISTS (SELECT FROM policy)")).scalar():
        # There was one policy so far, and no way to make another. It goes on in its present shape.
        present = {"hash": DAYS_1.content_hash, "document": DAYS_1.model_dump_json()}
        connection.execute(
            sa.text("INSERT INTO policy (hash, document, state) VALUES (:hash, cast(:document AS jsonb), 'active')"),
            present,
        )
        connection.execute(sa.text("UPDATE ruling SET policy = :hash"), present)
        connection.execute(sa.text("DELETE FROM policy WHERE hash <> :hash"), present)
    op.execute(AGAIN)
    for statement in FOLDED_ANEW:
        op.execute(statement)
