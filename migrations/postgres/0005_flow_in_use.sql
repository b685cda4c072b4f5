-- The flow of its session that was last read or submitted, and so the one that somebody is filling in: it stays, however many are begun. A
-- session has one at most.
ALTER TABLE step_up_flows ADD COLUMN in_use BOOLEAN NOT NULL DEFAULT FALSE;
