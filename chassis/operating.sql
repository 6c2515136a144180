ALTER TABLE consumer_offset
    ADD COLUMN IF NOT EXISTS paused_at timestamptz,
    ADD COLUMN IF NOT EXISTS paused_by text;
ALTER TABLE dead_letter
    ADD COLUMN IF NOT EXISTS closed_at timestamptz,
    ADD COLUMN IF NOT EXISTS closed_by text;
CREATE INDEX IF NOT EXISTS dead_letter_open ON dead_letter (id) WHERE status = 'open';
