-- name: devices_of
-- The devices of some customers, the latest registered first.
SELECT customer_id, token, locale
FROM notif.device
WHERE customer_id = ANY($1::uuid[])
ORDER BY register_time DESC, token

-- name: ask
-- Writes new messages and their deliveries, already leased by the writer; returns the deliveries.
-- Existing messages change nothing and return nothing.
WITH fresh AS (
    INSERT INTO notif.notification
        (notification_id, event_id, customer_id, template, title, body, transfer_id)
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
    ON CONFLICT (notification_id) DO NOTHING
    RETURNING notification_id
)
INSERT INTO notif.delivery (notification_id, channel, device, state, next_attempt_time)
SELECT wanted.notification_id, 'PUSH', wanted.device, 'PENDING', $10
FROM unnest($8::uuid[], $9::text[]) AS wanted (notification_id, device)
JOIN fresh USING (notification_id)
RETURNING notification_id, device

-- name: claim
-- Leases deliveries that are due, also those of a crashed process; returns them with their text.
WITH due AS (
    SELECT notification_id, channel, device
    FROM notif.delivery
    WHERE state = 'PENDING' AND next_attempt_time <= $1
    ORDER BY next_attempt_time
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE notif.delivery AS delivery
SET next_attempt_time = $2, attempts = delivery.attempts + 1
FROM due
JOIN notif.notification AS notification USING (notification_id)
WHERE delivery.notification_id = due.notification_id
  AND delivery.channel = due.channel
  AND delivery.device = due.device
RETURNING delivery.notification_id, delivery.device, delivery.attempts - 1 AS attempts,
          notification.event_id, notification.template, notification.title, notification.body,
          notification.transfer_id, notification.create_time

-- name: settle
-- Writes the outcomes of a batch of attempts. Only a pending delivery changes its state.
UPDATE notif.delivery AS delivery
SET state = outcome.state,
    next_attempt_time = outcome.next_attempt_time,
    deliver_time = outcome.deliver_time,
    detail = outcome.detail
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[]
) AS outcome (notification_id, device, state, next_attempt_time, deliver_time, detail)
WHERE delivery.notification_id = outcome.notification_id
  AND delivery.channel = 'PUSH'
  AND delivery.device = outcome.device
  AND delivery.state = 'PENDING'

-- name: drop_devices
-- Deletes devices that the push service no longer knows.
DELETE FROM notif.device WHERE token = ANY($1::text[])

-- name: list_of_customer
-- A customer's messages after an id, newest first. DELIVERED means that at least one device was
-- reached.
SELECT notification.notification_id, notification.event_id, notification.template,
       notification.title, notification.body, notification.transfer_id, notification.create_time,
       CASE WHEN reached.delivered THEN 'DELIVERED'
            WHEN reached.pending THEN 'PENDING'
            ELSE 'UNDELIVERABLE' END AS state,
       reached.deliver_time
FROM notif.notification AS notification
CROSS JOIN LATERAL (
    SELECT bool_or(delivery.state = 'DELIVERED') AS delivered,
           bool_or(delivery.state = 'PENDING') AS pending,
           min(delivery.deliver_time) AS deliver_time
    FROM notif.delivery AS delivery
    WHERE delivery.notification_id = notification.notification_id
) AS reached
WHERE notification.customer_id = $1 AND notification.notification_id < $2
ORDER BY notification.notification_id DESC
LIMIT $3

-- name: ensure_partitions
-- Creates the missing partitions of the coming months.
SELECT notif.ensure_partitions($1)
