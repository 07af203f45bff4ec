-- name: told
-- Transfers that a customer was told of, from an instant on.
SELECT DISTINCT transfer_id FROM notif.notification WHERE create_time >= $1
