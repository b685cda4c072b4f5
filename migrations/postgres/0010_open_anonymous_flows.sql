-- The flows without a session that are counted. Those that were completed are not, and may be many.
CREATE INDEX step_up_flows_open_anonymous ON step_up_flows (seq) WHERE binding IS NULL AND NOT completed;
