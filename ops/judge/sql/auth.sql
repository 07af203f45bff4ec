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

-- name: open_sessions
-- A page of the open sessions above an id.
SELECT session_id FROM auth.session
WHERE session_id > $1 AND end_time IS NULL AND expire_time > now()
ORDER BY session_id
LIMIT $2;

-- name: sessions_of
-- Sessions by their ids. A session that ended less than $2 ago does not count as ended.
SELECT session_id::text, customer_id::text, device_id::text, end_time, expire_time,
    least(end_time, expire_time) < now() - $2::interval AS is_ended
FROM auth.session
WHERE session_id = ANY($1::uuid[]);

-- name: ended_sessions
-- A page of the sessions that ended after an instant and at least $3 ago, the earliest first.
SELECT session_id, end_time FROM auth.session
WHERE (end_time, session_id) > ($1, $2) AND end_time < now() - $3::interval
ORDER BY end_time, session_id
LIMIT $4;
