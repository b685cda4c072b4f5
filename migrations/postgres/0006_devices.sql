-- The client with which the user signed in, as JSON: software and address. NULL: not known.
ALTER TABLE step_up_sessions ADD COLUMN device TEXT;
