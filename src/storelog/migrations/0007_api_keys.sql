-- Keys that `storelog keys` makes: the SHA-256 only; the key itself is shown once and kept nowhere.
-- A row is never removed, so that a name in the log's `caller` means one key for ever.

CREATE TABLE api_keys (
    name       text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,64}$'),
    role       text NOT NULL CHECK (role IN ('read', 'write', 'import', 'admin')),
    sha256     bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE TRIGGER api_keys_stay BEFORE DELETE OR TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_log();
