-- name: pending
-- How many deliveries are pending.
SELECT count(*) FROM notif.delivery WHERE state = 'PENDING';

-- name: overdue
-- Pending deliveries whose next attempt is overdue.
SELECT n.event_id, d.device,
    'sent within ' || $2::integer || ' s of ' || d.next_attempt_time AS expected,
    'PENDING after ' || d.attempts || ' attempts: ' || d.detail AS actual,
    count(*) OVER () AS total
FROM notif.delivery d
JOIN notif.notification n USING (notification_id)
WHERE d.state = 'PENDING' AND d.next_attempt_time < clock_timestamp()
    - make_interval(secs => $2::integer)
ORDER BY 1
LIMIT $1;

-- name: messages
-- Every message to a customer.
SELECT event_id, customer_id::text FROM notif.notification;

-- name: deliveries
-- The delivery of every message to every device.
SELECT n.event_id, d.device, d.state, d.attempts
FROM notif.delivery d
JOIN notif.notification n USING (notification_id);
