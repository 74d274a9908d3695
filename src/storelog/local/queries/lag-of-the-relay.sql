-- How far Kafka is behind the log.
SELECT * FROM relay_lag;
