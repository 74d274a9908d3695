-- Which Command Service decides for all of them, and how the others reach it. It is said again every
-- second and worth nothing afterwards, so it needs no place in the log of the database.
CREATE UNLOGGED TABLE command_leader (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    term bigint NOT NULL,
    host text NOT NULL,
    port integer NOT NULL,
    -- What the leader's connections are encrypted with (PEM), and what a follower must know.
    certificate text NOT NULL,
    secret bytea NOT NULL,
    -- How commands are written on the way; services of other releases decide for themselves.
    form text NOT NULL,
    renewed_at timestamptz NOT NULL
);
