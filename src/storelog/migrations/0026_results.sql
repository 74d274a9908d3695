-- What `storelog verify`, `rebuild` and `verify --anchor` found the last times: the console and
-- GET /operations show it. `facts` has at most the first 50 differences.
CREATE TABLE operation_results (
    operation   text NOT NULL CHECK (operation IN ('verify', 'rebuild', 'anchor')),
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version     text NOT NULL,
    position    bigint NOT NULL CHECK (position >= 0),
    seconds     double precision NOT NULL CHECK (seconds >= 0),
    differences bigint NOT NULL CHECK (differences >= 0),
    facts       json NOT NULL,
    PRIMARY KEY (operation, finished_at)
);
