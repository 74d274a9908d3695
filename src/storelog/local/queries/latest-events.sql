-- The latest events, newest first.
SELECT * FROM latest_events LIMIT 100;
