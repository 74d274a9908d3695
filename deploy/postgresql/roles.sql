-- Least privilege in PostgreSQL: run by the owner of the schema after `storelog migrate`, and again
-- after every later one; safe to repeat. Give each role a password of its own (ALTER ROLE ...
-- PASSWORD) and its process an address with its role.
--
--   storelog_command   the Command Service: appends to the log, and cannot change it
--   storelog_relay     the relay: reads the log, and owns its cursor
--   storelog_keys      `storelog keys`: makes and revokes API keys, and sees nothing else
--   storelog_reader    people and `storelog verify`: reads everything, records what it found
--
-- The owner is for `storelog migrate` alone. The projector and the Query Service need no account.

-- In one transaction: no role lacks a privilege in between, while its process works.
BEGIN;

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['command', 'relay', 'keys', 'reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'storelog_' || role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE',
                'storelog_' || role_name);
        END IF;
    END LOOP;
    -- Without this, everybody who may log in could make tables in PostgreSQL 14.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I'
        ' TO storelog_command, storelog_relay, storelog_keys, storelog_reader', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO storelog_command, storelog_relay, storelog_keys, storelog_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA public
    FROM storelog_command, storelog_relay, storelog_keys, storelog_reader;

GRANT SELECT ON log_head, events, customers, products, orders, order_items, idempotency_keys, api_keys,
    relay_cursor, log_histories, operation_results TO storelog_command;
GRANT INSERT ON events, customers, products, orders, order_items, idempotency_keys
    TO storelog_command;
GRANT UPDATE ON log_head, customers, products, orders TO storelog_command;
GRANT DELETE ON idempotency_keys TO storelog_command;
-- Which Command Service leads; its secret lets a process append through it.
GRANT SELECT, INSERT, UPDATE ON command_leader TO storelog_command;
-- These two run as their owner: who may call them could hold the log's head, or remove keys.
REVOKE EXECUTE ON FUNCTION log_ended_at(bigint), forget_expired_keys(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_expired_keys(integer) TO storelog_command;
-- UPDATE raises a sequence that is behind its table, as after a restore.
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO storelog_command;

GRANT SELECT ON log_head, log_histories, events, api_keys, api_key_sets, relay_cursor
    TO storelog_relay;
GRANT UPDATE ON relay_cursor TO storelog_relay;
GRANT EXECUTE ON FUNCTION log_ended_at(bigint) TO storelog_relay;

GRANT SELECT, INSERT ON api_keys TO storelog_keys;
GRANT UPDATE (revoked_at) ON api_keys TO storelog_keys;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO storelog_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO storelog_reader;
REVOKE SELECT ON api_keys, api_key_sets, idempotency_keys, command_leader FROM storelog_reader;
-- What `storelog verify` found is recorded, and can be changed by nobody.
GRANT INSERT ON operation_results TO storelog_reader;
GRANT SELECT (name, role, created_at, expires_at, revoked_at) ON api_keys TO storelog_reader;

COMMIT;
