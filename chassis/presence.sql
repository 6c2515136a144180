CREATE TABLE IF NOT EXISTS process (
    name text NOT NULL,
    role text NOT NULL,
    version text NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (name, role)
) WITH (fillfactor = 50);
