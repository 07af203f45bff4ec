-- name: told
-- Transfers that a customer was told of, from an instant on.
SELECT DISTINCT transfer_id FROM notif.notification WHERE create_time >= $1

-- name: pending
-- Messages that wait to be sent, of those written from an instant on.
SELECT count(*) FROM notif.delivery
WHERE state = 'PENDING' AND notification_id >= notif.id_floor($1)

-- name: told_count
-- How many transfers a customer was told of, from an instant on.
SELECT count(DISTINCT transfer_id) FROM notif.notification WHERE create_time >= $1
