-- What only one credential of all subjects may have.
ALTER TABLE step_up_credentials ADD COLUMN fingerprint BLOB;
CREATE UNIQUE INDEX step_up_credentials_fingerprint ON step_up_credentials (fingerprint) WHERE fingerprint IS NOT NULL;
