-- How many times all sessions of a subject or of everybody were ended, and what that was for each of them. Clocks of nodes differ, this number
-- does not. NULL: a session of a version before, of which the date decides; a subject whose sessions were never ended since.
CREATE TABLE step_up_revocations (
    number INTEGER NOT NULL
) STRICT;

INSERT INTO step_up_revocations (number) VALUES (0);

ALTER TABLE step_up_subjects ADD COLUMN revoked INTEGER;
ALTER TABLE step_up_sessions ADD COLUMN revocations INTEGER;
