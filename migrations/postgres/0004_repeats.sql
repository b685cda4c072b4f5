-- The form whose success this session is the answer to: a keyed digest of it, and when it was answered. NULL: none, or one that is never
-- answered again.
ALTER TABLE step_up_sessions ADD COLUMN answered_digest BYTEA;
ALTER TABLE step_up_sessions ADD COLUMN answered_at BIGINT;
