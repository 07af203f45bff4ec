-- name: recorded
-- Events on record, from an instant on.
SELECT event_id::text FROM audit.record WHERE event_id >= audit.id_floor($1)

-- name: recorded_count
-- How many events are on record, from an instant on.
SELECT count(*) FROM audit.record WHERE event_id >= audit.id_floor($1)

-- name: lag
-- How long after it occurred an event was written into the record, 99 of 100, in milliseconds.
SELECT 1000 * extract(epoch FROM percentile_cont(0.99) WITHIN GROUP (
    ORDER BY record_time - occur_time))::float8
FROM audit.record WHERE event_id >= audit.id_floor($1)
