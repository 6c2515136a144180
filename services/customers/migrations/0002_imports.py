"""Imports: the files, how far each one is, and the rows that were not taken."""

from alembic import op

revision = "0002"
down_revision = "0001"

OWN = """
CREATE TABLE import_job (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('purchases', 'returns')),
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'undoing', 'undone')),
    dry_run boolean NOT NULL,
    file_name text NOT NULL,
    content_hash text NOT NULL,
    same_as uuid,
    source text NOT NULL,
    currency text NOT NULL,
    time_zone text NOT NULL,
    dates text,
    days_only boolean NOT NULL,
    decimal_mark text,
    columns text[] NOT NULL,
    mapping jsonb NOT NULL,
    notes text[] NOT NULL,
    preview jsonb NOT NULL,
    rows int NOT NULL,
    chunks int NOT NULL,
    next_chunk int NOT NULL DEFAULT 0,
    after_order text NOT NULL DEFAULT '',
    rows_read int NOT NULL DEFAULT 0,
    accepted int NOT NULL DEFAULT 0,
    duplicate int NOT NULL DEFAULT 0,
    conflict int NOT NULL DEFAULT 0,
    rejected int NOT NULL DEFAULT 0,
    withdrawn int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    leased_by uuid,
    leased_until timestamptz
);
CREATE INDEX import_job_open ON import_job (id) WHERE state IN ('waiting', 'running', 'undoing');
CREATE INDEX import_job_content ON import_job (content_hash);

CREATE TABLE import_chunk (
    import_id uuid NOT NULL REFERENCES import_job ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    number int NOT NULL,
    rows bytea NOT NULL,
    PRIMARY KEY (import_id, number)
);
ALTER TABLE import_chunk ALTER COLUMN rows SET STORAGE EXTERNAL;

CREATE TABLE import_line (
    import_id uuid NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    row int NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (import_id, order_id, row)
);

CREATE TABLE import_reject (
    import_id uuid NOT NULL,
    row int NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (import_id, row)
)
"""


def upgrade() -> None:
    for statement in OWN.split(";"):
        op.execute(statement)
