-- Times are milliseconds since the Unix epoch, ids are the 16 bytes of a UUID. Text compares byte by byte. `seq` is the order of
-- creation. The prefix step_up_ keeps these tables apart from the application's.

CREATE TABLE step_up_subjects (
    subject    TEXT    NOT NULL PRIMARY KEY,
    not_before INTEGER NOT NULL
) STRICT;

CREATE TABLE step_up_sessions (
    seq        INTEGER NOT NULL PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    subject    TEXT    NOT NULL,
    binding    BLOB    NOT NULL,
    proofs     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX step_up_sessions_subject ON step_up_sessions (subject);
CREATE INDEX step_up_sessions_expires_at ON step_up_sessions (expires_at);

CREATE TABLE step_up_credentials (
    seq        INTEGER NOT NULL PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    subject    TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    aal        TEXT    NOT NULL,
    data       BLOB    NOT NULL,
    last_step  INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX step_up_credentials_subject ON step_up_credentials (subject, method);

CREATE TABLE step_up_secrets (
    credential BLOB    NOT NULL REFERENCES step_up_credentials (id),
    position   INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    used_at    INTEGER,
    PRIMARY KEY (credential, position)
) STRICT;

CREATE TABLE step_up_flows (
    seq        INTEGER NOT NULL PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    subject    TEXT,
    expires_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    completed  INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT;

CREATE INDEX step_up_flows_subject ON step_up_flows (subject);
CREATE INDEX step_up_flows_expires_at ON step_up_flows (expires_at);

CREATE TABLE step_up_attempts (
    subject      TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    failures     INTEGER NOT NULL,
    -- NULL: not locked.
    locked_until INTEGER,
    -- NULL: never, the hard stop was reached.
    forgotten_at INTEGER,
    PRIMARY KEY (subject, method)
) STRICT;

CREATE INDEX step_up_attempts_forgotten_at ON step_up_attempts (forgotten_at) WHERE forgotten_at IS NOT NULL;
