-- A rebuild of the state tables makes its rows in temporary tables, which go with its connection. One
-- of an earlier version that was killed left a schema of its own.
DROP SCHEMA IF EXISTS storelog_rebuild CASCADE;
