-- Who is connected to this database, and what they do.
SELECT pid, application_name, client_addr, state, now() - state_change AS since, left(query, 200) AS query
FROM pg_stat_activity WHERE datname = current_database() ORDER BY application_name, pid;
