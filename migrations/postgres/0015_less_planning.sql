-- The functions of migration 14, which do the same with less planning: a statement whose parameters are lists was planned anew at each call,
-- and took a fifth of a completion.

-- Returns whether the flow was created: it is not if the id exists.
CREATE OR REPLACE FUNCTION step_up_add_flow(
    _id UUID, _subject TEXT, _binding UUID, _expires_at BIGINT, _version BIGINT, _completed BOOLEAN, _body TEXT,
    _keep BIGINT, _prune_every BIGINT
) RETURNS BOOLEAN LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    _seq BIGINT;
BEGIN
    IF _subject IS NOT NULL THEN
        -- Nearly always it is there.
        PERFORM 1 FROM step_up_subjects WHERE subject = _subject FOR UPDATE;
        IF NOT FOUND THEN
            PERFORM step_up_lock_subject(_subject);
        END IF;
    END IF;
    INSERT INTO step_up_flows (id, subject, binding, expires_at, version, completed, body)
    VALUES (_id, _subject, _binding, _expires_at, _version, _completed, _body)
    ON CONFLICT (id) DO NOTHING RETURNING seq INTO _seq;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    IF _binding IS NOT NULL THEN
        -- The new one stays before all others, then the one in use, then the newest.
        DELETE FROM step_up_flows WHERE binding = _binding AND seq NOT IN (
            SELECT seq FROM step_up_flows WHERE binding = _binding ORDER BY seq = _seq DESC, in_use DESC, seq DESC LIMIT _keep);
    ELSIF _seq % _prune_every = 0 THEN
        -- Those that were completed stay, and are not counted. One that is being completed is skipped now, and stays afterwards.
        DELETE FROM step_up_flows WHERE seq IN (
            SELECT seq FROM step_up_flows
            WHERE binding IS NULL AND NOT completed AND seq <= (
                SELECT seq FROM step_up_flows WHERE binding IS NULL AND NOT completed ORDER BY seq DESC OFFSET _keep LIMIT 1)
            FOR UPDATE SKIP LOCKED);
    END IF;
    RETURN TRUE;
END $body$;

-- A completion, apart from changes of credentials. First everything is checked and locked, in the order of locks; only then is anything
-- written. So what is refused has written nothing but the subject's row, and no transaction has to be undone. Returns the outcome.
--
-- Of the arrays, `_new_subjects` to `_new_seen` are the sessions that begin: first the one that replaces `_old`, if that is given, and then
-- the one that begins without, if `_begins`. That one began after `_begun_after` revocations; NULL: after all that there are now.
CREATE OR REPLACE FUNCTION step_up_carry_out(
    _subject TEXT, _now BIGINT,
    _flow UUID, _flow_body TEXT,
    _old UUID, _begins BOOLEAN, _begun_after BIGINT,
    _expected UUID[],
    _use TEXT, _credential UUID, _step BIGINT, _before BYTEA, _after BYTEA,
    _raised UUID[], _raised_steps BIGINT[],
    _new_ids UUID[], _new_subjects TEXT[], _new_bindings UUID[], _new_proofs TEXT[], _new_issued BIGINT[], _new_expires BIGINT[],
    _new_digests BYTEA[], _new_answered BIGINT[], _new_devices TEXT[], _new_seen BIGINT[],
    _reset_subjects TEXT[], _reset_methods TEXT[]
) RETURNS TEXT LANGUAGE plpgsql VOLATILE AS $body$
DECLARE
    -- After how many revocations each new session began.
    _revocations BIGINT[] := '{}';
    _number BIGINT;
BEGIN
    -- Nearly always it is there.
    PERFORM 1 FROM step_up_subjects WHERE subject = _subject FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM step_up_lock_subject(_subject);
    END IF;
    IF _flow IS NOT NULL THEN
        PERFORM 1 FROM step_up_flows WHERE id = _flow AND NOT completed AND expires_at > _now FOR UPDATE;
        IF NOT FOUND THEN
            RETURN 'flow gone';
        END IF;
    END IF;
    IF _old IS NOT NULL THEN
        IF _new_subjects[1] <> _subject THEN
            RETURN 'session gone';
        END IF;
        -- Whether all sessions of the subject or of everybody were not ended since it began. Of a session that a version before has written,
        -- its date tells.
        SELECT s.revocations INTO _number FROM step_up_sessions s
        WHERE s.id = _old AND s.subject = _subject AND s.expires_at > _now
            AND CASE WHEN s.revocations IS NULL THEN s.issued_at >= coalesce(
                    (SELECT max(u.not_before) FROM step_up_subjects u WHERE u.subject IN (s.subject, '')), s.issued_at)
                ELSE s.revocations >= coalesce(
                    (SELECT max(u.revoked) FROM step_up_subjects u WHERE u.subject IN (s.subject, '')), 0) END
        FOR UPDATE OF s;
        IF NOT FOUND THEN
            RETURN 'session gone';
        END IF;
        _revocations := array_append(_revocations, _number);
    END IF;
    IF _begins THEN
        _number := coalesce(_begun_after, (SELECT number FROM step_up_revocations));
        IF _new_subjects[cardinality(_new_subjects)] <> _subject
            OR EXISTS (SELECT 1 FROM step_up_subjects WHERE subject IN (_subject, '') AND revoked > _number)
        THEN
            RETURN 'session gone';
        END IF;
        _revocations := array_append(_revocations, _number);
    END IF;
    IF _expected IS NOT NULL THEN
        IF EXISTS (SELECT 1 FROM step_up_credentials WHERE subject = _subject AND id <> ALL (_expected))
            OR EXISTS (SELECT unnest(_expected) EXCEPT SELECT id FROM step_up_credentials WHERE subject = _subject)
        THEN
            RETURN 'credentials changed';
        END IF;
    END IF;

    -- The last check writes. It does so only if it passes.
    IF _use = 'step' THEN
        UPDATE step_up_credentials SET last_step = _step, last_used_at = _now
        WHERE id = _credential AND subject = _subject AND last_step < _step;
    ELSIF _use = 'data' THEN
        UPDATE step_up_credentials SET data = _after, last_used_at = _now
        WHERE id = _credential AND subject = _subject AND data = _before;
    ELSIF _use = 'secret' THEN
        PERFORM 1 FROM step_up_credentials WHERE id = _credential AND subject = _subject FOR UPDATE;
        IF NOT FOUND THEN
            RETURN 'unknown';
        END IF;
        UPDATE step_up_secrets SET used_at = _now WHERE credential = _credential AND hash = _before AND used_at IS NULL;
        IF NOT FOUND THEN
            PERFORM 1 FROM step_up_secrets WHERE credential = _credential AND hash = _before;
            RETURN CASE WHEN FOUND THEN 'used' ELSE 'unknown' END;
        END IF;
        UPDATE step_up_credentials SET last_used_at = _now WHERE id = _credential;
    ELSIF _use = 'present' THEN
        UPDATE step_up_credentials SET last_used_at = _now WHERE id = _credential AND subject = _subject;
    ELSIF _use IS NOT NULL THEN
        RAISE EXCEPTION 'an unknown way to use a credential';
    END IF;
    IF _use IS NOT NULL AND NOT FOUND THEN
        PERFORM 1 FROM step_up_credentials WHERE id = _credential AND subject = _subject;
        RETURN CASE WHEN FOUND THEN 'used' ELSE 'unknown' END;
    END IF;

    IF _flow IS NOT NULL THEN
        UPDATE step_up_flows SET completed = TRUE, body = _flow_body, version = version + 1 WHERE id = _flow;
    END IF;
    IF cardinality(_raised) > 0 THEN
        UPDATE step_up_credentials c SET last_step = r.step
        FROM (SELECT id, max(step) AS step FROM unnest(_raised, _raised_steps) AS r (id, step) GROUP BY id) AS r
        WHERE c.id = r.id AND c.subject = _subject AND c.last_step < r.step;
    END IF;
    IF _old IS NOT NULL THEN
        DELETE FROM step_up_sessions WHERE id = _old AND subject = _subject;
    END IF;
    IF _begins THEN
        DELETE FROM step_up_sessions WHERE seq IN (
            SELECT seq FROM step_up_sessions WHERE subject = _subject AND expires_at <= _now FOR UPDATE SKIP LOCKED);
    END IF;
    IF cardinality(_new_ids) > 0 THEN
        -- Fails if an id exists, and then nothing was written.
        INSERT INTO step_up_sessions (id, subject, binding, proofs, issued_at, expires_at,
            answered_digest, answered_at, device, seen_at, revocations)
        SELECT * FROM unnest(_new_ids, _new_subjects, _new_bindings, _new_proofs, _new_issued, _new_expires,
            _new_digests, _new_answered, _new_devices, _new_seen, _revocations);
    END IF;
    FOR _place IN 1..cardinality(_reset_subjects) LOOP
        DELETE FROM step_up_attempts WHERE subject = _reset_subjects[_place] AND method = _reset_methods[_place];
    END LOOP;
    RETURN 'done';
END $body$;
