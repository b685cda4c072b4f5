-- The subjects of which something changed that other processes may have read before: a session ended or was replaced, a credential came, went
-- or changed its level, all sessions were ended. The empty subject is everybody. The triggers write it, so that it is told in the same
-- transaction, also by versions before and by hand. `seq` has no holes, and is the order of commits, since only one connection writes.
CREATE TABLE step_up_changes (
    seq     INTEGER NOT NULL PRIMARY KEY,
    subject TEXT    NOT NULL,
    -- Seconds since the Unix epoch: old rows are removed.
    at      INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER))
) STRICT;

-- What ended with the sessions of everybody was told with them.
CREATE TRIGGER step_up_sessions_deleted AFTER DELETE ON step_up_sessions
WHEN NOT EXISTS (SELECT 1 FROM step_up_subjects WHERE subject = ''
    AND CASE WHEN OLD.revocations IS NULL THEN not_before > OLD.issued_at ELSE revoked > OLD.revocations END)
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (OLD.subject);
END;

CREATE TRIGGER step_up_sessions_updated
AFTER UPDATE OF id, subject, binding, proofs, issued_at, expires_at, revocations ON step_up_sessions
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (OLD.subject);
END;

CREATE TRIGGER step_up_credentials_inserted AFTER INSERT ON step_up_credentials
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (NEW.subject);
END;

CREATE TRIGGER step_up_credentials_deleted AFTER DELETE ON step_up_credentials
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (OLD.subject);
END;

CREATE TRIGGER step_up_credentials_updated AFTER UPDATE OF id, subject, method, aal ON step_up_credentials
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (OLD.subject), (NEW.subject);
END;

CREATE TRIGGER step_up_subjects_inserted AFTER INSERT ON step_up_subjects
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (NEW.subject);
END;

CREATE TRIGGER step_up_subjects_updated AFTER UPDATE ON step_up_subjects
WHEN OLD.not_before IS NOT NEW.not_before OR OLD.revoked IS NOT NEW.revoked
BEGIN
    INSERT INTO step_up_changes (subject) VALUES (NEW.subject);
END;
