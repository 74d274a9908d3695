-- Who waits for a lock, and for whom.
SELECT * FROM waiting_locks;
