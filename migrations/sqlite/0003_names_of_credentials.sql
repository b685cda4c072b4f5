-- What its owner calls a credential, and when a proof last used it. NULL: no name; not used yet, or only by a version before.
ALTER TABLE step_up_credentials ADD COLUMN name TEXT;
ALTER TABLE step_up_credentials ADD COLUMN last_used_at INTEGER;
