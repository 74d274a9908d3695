-- Every change of the API keys makes a newer set of them: `version` only grows, also past a restored
-- copy, whose next change is later than anything before. `signer` is the secret by which the relay
-- proves that a set on Kafka is this shop's. Whoever may change keys need not see either.

CREATE TABLE api_key_sets (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL,
    signer   bytea NOT NULL CHECK (octet_length(signer) = 32)
);
INSERT INTO api_key_sets (version, signer) VALUES (
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    -- Four random UUIDs have 488 random bits.
    sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text
        || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- In the transaction of the change: two changes at once are two versions, one after the other.
CREATE FUNCTION count_key_set() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE api_key_sets SET version = greatest(
        version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN NULL;
END $$;
CREATE TRIGGER api_keys_make_sets AFTER INSERT OR UPDATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION count_key_set();

-- From which position on each record on Kafka proves that it is of this log. In a shop that was
-- there before, the relay says so when it first sends such records.
ALTER TABLE relay_cursor ADD COLUMN proven_from bigint DEFAULT 1;
UPDATE relay_cursor SET proven_from = NULL WHERE position > 0;
