-- Times are milliseconds since the Unix epoch. Text compares byte by byte. `seq` is the order of creation. The prefix step_up_
-- keeps these tables apart from the application's.

-- One row for each subject that ever had a session, a credential or a flow: what is done to one subject happens in turn, behind
-- the lock of this row.
CREATE TABLE step_up_subjects (
    subject    TEXT COLLATE "C" PRIMARY KEY,
    not_before BIGINT
);

CREATE TABLE step_up_sessions (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID             NOT NULL UNIQUE,
    subject    TEXT COLLATE "C" NOT NULL,
    binding    UUID             NOT NULL,
    proofs     TEXT             NOT NULL,
    issued_at  BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL
);

CREATE INDEX step_up_sessions_subject ON step_up_sessions (subject);
CREATE INDEX step_up_sessions_expires_at ON step_up_sessions (expires_at);

CREATE TABLE step_up_credentials (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID             NOT NULL UNIQUE,
    subject    TEXT COLLATE "C" NOT NULL,
    method     TEXT COLLATE "C" NOT NULL,
    aal        TEXT COLLATE "C" NOT NULL,
    data       BYTEA            NOT NULL,
    last_step  BIGINT           NOT NULL,
    created_at BIGINT           NOT NULL
);

CREATE INDEX step_up_credentials_subject ON step_up_credentials (subject, method);

CREATE TABLE step_up_secrets (
    credential UUID    NOT NULL REFERENCES step_up_credentials (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    hash       BYTEA   NOT NULL,
    used_at    BIGINT,
    PRIMARY KEY (credential, position)
);

CREATE TABLE step_up_flows (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         UUID    NOT NULL UNIQUE,
    subject    TEXT COLLATE "C",
    expires_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL,
    completed  BOOLEAN NOT NULL,
    body       TEXT    NOT NULL
);

CREATE INDEX step_up_flows_subject ON step_up_flows (subject, seq);
CREATE INDEX step_up_flows_expires_at ON step_up_flows (expires_at);

CREATE TABLE step_up_attempts (
    subject      TEXT COLLATE "C" NOT NULL,
    method       TEXT COLLATE "C" NOT NULL,
    failures     BIGINT           NOT NULL,
    -- NULL: not locked.
    locked_until BIGINT,
    -- NULL: never, the hard stop was reached.
    forgotten_at BIGINT,
    PRIMARY KEY (subject, method)
);

CREATE INDEX step_up_attempts_forgotten_at ON step_up_attempts (forgotten_at) WHERE forgotten_at IS NOT NULL;
