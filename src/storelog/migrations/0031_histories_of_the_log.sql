-- The histories of this log: a position means one event only together with its history. The first
-- begins with the log; `storelog recover` begins another where commits were lost that others have
-- seen. `began_after`: up to this position it is the same as the history before it.
CREATE TABLE log_histories (
    number      integer PRIMARY KEY CHECK (number > 0),
    history     uuid NOT NULL UNIQUE,
    began_after bigint NOT NULL CHECK (began_after >= 0),
    began_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO log_histories (number, history, began_after) VALUES (1, gen_random_uuid(), 0);
