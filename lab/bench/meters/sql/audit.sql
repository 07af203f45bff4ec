-- name: recorded
-- Events in the audit log since an instant.
SELECT event_id::text FROM audit.record WHERE event_id >= chassis.id_floor($1)

-- name: recorded_count
-- Number of events in the audit log since an instant.
SELECT count(*) FROM audit.record WHERE event_id >= chassis.id_floor($1)

-- name: lag
-- 99th percentile of the time from an event to its audit record, in milliseconds.
SELECT 1000 * extract(epoch FROM percentile_cont(0.99) WITHIN GROUP (
    ORDER BY record_time - occur_time))::float8
FROM audit.record WHERE event_id >= chassis.id_floor($1)
