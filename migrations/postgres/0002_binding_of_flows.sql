-- The session that a flow was begun in, by what survives its rotations: a session's flows are counted, not a subject's. NULL: it was
-- begun without a session, or by a version that kept this in the body.
ALTER TABLE step_up_flows ADD COLUMN binding UUID;

CREATE INDEX step_up_flows_binding ON step_up_flows (binding, seq);
