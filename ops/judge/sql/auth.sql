-- name: activity
-- A number that grows with every event about logins.
SELECT coalesce(max(id), 0) FROM auth.event;

-- name: outbox_depth
-- How many events wait to be published.
SELECT count(*) FROM auth.event WHERE publish_time IS NULL AND park_reason IS NULL;

-- name: outbox_waiting
-- Events that auth has not published.
SELECT e.event_id::text AS event_id, 'auth-events' AS topic, 'published' AS expected,
    'waiting since ' || e.create_time AS actual, count(*) OVER () AS total
FROM auth.event e
WHERE e.publish_time IS NULL AND e.park_reason IS NULL
ORDER BY e.id
LIMIT $1;

-- name: outbox_parked
-- Events that auth parked.
SELECT e.event_id::text AS event_id, 'auth-events' AS topic, 'published' AS expected,
    e.park_reason AS actual, count(*) OVER () AS total
FROM auth.event e
WHERE e.publish_time IS NULL AND e.park_reason IS NOT NULL
ORDER BY e.id
LIMIT $1;

-- name: events
-- Every stored event, and whether it is published.
SELECT event_id::text, publish_time IS NOT NULL AS is_published FROM auth.event;
