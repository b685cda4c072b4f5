-- When the session was last seen in use, to within what the inactivity timeout allows. NULL: not since its newest proof.
ALTER TABLE step_up_sessions ADD COLUMN seen_at BIGINT;
