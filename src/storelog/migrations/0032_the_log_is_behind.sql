-- Up to which position the relay has found events in Kafka that this log does not have: PostgreSQL
-- has failed over to a server that lacked them, or was restored to an earlier time. As long as it is
-- set nothing is appended, by a service of any release: what is lost would get others in its place.
ALTER TABLE relay_cursor
    ADD COLUMN ahead_position bigint CHECK (ahead_position > 0),
    ADD COLUMN ahead_at timestamptz;

CREATE FUNCTION refuse_while_behind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM relay_cursor WHERE ahead_position IS NOT NULL) THEN
        RAISE EXCEPTION 'the log lacks events that Kafka has' USING ERRCODE = 'SL003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER nothing_is_appended_while_behind BEFORE UPDATE OF position ON log_head
    FOR EACH ROW WHEN (NEW.position > OLD.position) EXECUTE FUNCTION refuse_while_behind();
