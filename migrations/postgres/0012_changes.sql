-- The subjects of which something changed that other processes may have read before: a session ended or was replaced, a credential came, went
-- or changed its level, all sessions were ended. The empty subject is everybody. The triggers write it, so that it is told in the same
-- transaction, also by versions before and by hand.
--
-- `xid` is the transaction. A reader that remembers its snapshot reads what was not visible in it and is now: in the order of commits, without
-- the holes of a sequence.
CREATE TABLE step_up_changes (
    xid     XID8             NOT NULL DEFAULT pg_current_xact_id(),
    subject TEXT COLLATE "C" NOT NULL,
    -- Old rows are removed.
    at      TIMESTAMPTZ      NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, subject)
);

-- One row: every transaction of which changes were removed is this one or one before.
CREATE TABLE step_up_changes_removed (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    xid XID8    NOT NULL
);

DO $do$
DECLARE
    place   TEXT := (SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.oid = 'step_up_sessions'::regclass);
    granted RECORD;
BEGIN
    -- By the full names of the tables: whoever writes by hand may have another search_path.
    EXECUTE format($create$
        CREATE FUNCTION %1$s.step_up_tell_change() RETURNS TRIGGER LANGUAGE plpgsql AS $body$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                INSERT INTO %1$s.step_up_changes (subject) VALUES ('') ON CONFLICT DO NOTHING;
                RETURN NULL;
            END IF;
            IF TG_OP <> 'INSERT' THEN
                INSERT INTO %1$s.step_up_changes (subject) VALUES (OLD.subject) ON CONFLICT DO NOTHING;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO %1$s.step_up_changes (subject) VALUES (NEW.subject) ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END $body$;

        CREATE FUNCTION %1$s.step_up_tell_end() RETURNS TRIGGER LANGUAGE plpgsql AS $body$
        BEGIN
            -- What ended with the sessions of everybody was told with them.
            IF EXISTS (SELECT 1 FROM %1$s.step_up_subjects WHERE subject = ''
                AND CASE WHEN OLD.revocations IS NULL THEN not_before > OLD.issued_at ELSE revoked > OLD.revocations END)
            THEN
                RETURN NULL;
            END IF;
            INSERT INTO %1$s.step_up_changes (subject) VALUES (OLD.subject) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $body$;
    $create$, place);

    -- Whoever may work with the sessions may work with the log.
    FOR granted IN
        SELECT a.privilege_type AS what, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS whom
        FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'step_up_sessions'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON step_up_changes, step_up_changes_removed TO %s', granted.what, granted.whom);
    END LOOP;
END $do$;

-- In the order in which transactions lock these tables.
CREATE TRIGGER step_up_subjects_inserted AFTER INSERT ON step_up_subjects
FOR EACH ROW WHEN (NEW.not_before IS NOT NULL OR NEW.revoked IS NOT NULL) EXECUTE FUNCTION step_up_tell_change();
CREATE TRIGGER step_up_subjects_updated AFTER UPDATE ON step_up_subjects
FOR EACH ROW WHEN (OLD.not_before IS DISTINCT FROM NEW.not_before OR OLD.revoked IS DISTINCT FROM NEW.revoked)
EXECUTE FUNCTION step_up_tell_change();

CREATE TRIGGER step_up_sessions_deleted AFTER DELETE ON step_up_sessions
FOR EACH ROW EXECUTE FUNCTION step_up_tell_end();
CREATE TRIGGER step_up_sessions_updated
AFTER UPDATE OF id, subject, binding, proofs, issued_at, expires_at, revocations ON step_up_sessions
FOR EACH ROW EXECUTE FUNCTION step_up_tell_change();
CREATE TRIGGER step_up_sessions_truncated AFTER TRUNCATE ON step_up_sessions EXECUTE FUNCTION step_up_tell_change();

CREATE TRIGGER step_up_credentials_changed AFTER INSERT OR DELETE ON step_up_credentials
FOR EACH ROW EXECUTE FUNCTION step_up_tell_change();
CREATE TRIGGER step_up_credentials_updated AFTER UPDATE OF id, subject, method, aal ON step_up_credentials
FOR EACH ROW EXECUTE FUNCTION step_up_tell_change();
CREATE TRIGGER step_up_credentials_truncated AFTER TRUNCATE ON step_up_credentials EXECUTE FUNCTION step_up_tell_change();
