-- name: notified
-- Transfers with a notification since an instant.
SELECT DISTINCT transfer_id FROM notif.notification WHERE create_time >= $1

-- name: pending
-- Deliveries that are still pending, of the notifications written since an instant.
SELECT count(*) FROM notif.delivery
WHERE state = 'PENDING' AND notification_id >= chassis.id_floor($1)

-- name: notified_count
-- Number of transfers with a notification since an instant.
SELECT count(DISTINCT transfer_id) FROM notif.notification WHERE create_time >= $1
