-- migrate:up

-- The service writes outcomes of deliveries; it neither registers devices nor redirects a delivery.
-- No statement loses a right that it uses.
-- squawk-ignore revoked-right
REVOKE INSERT ON notif.device FROM bp_notifications;
-- squawk-ignore revoked-right
REVOKE UPDATE ON notif.delivery FROM bp_notifications;
GRANT UPDATE (state, attempts, next_attempt_time, deliver_time, detail)
    ON notif.delivery TO bp_notifications;

-- migrate:down
REVOKE UPDATE (state, attempts, next_attempt_time, deliver_time, detail)
    ON notif.delivery FROM bp_notifications;
GRANT UPDATE ON notif.delivery TO bp_notifications;
GRANT INSERT ON notif.device TO bp_notifications;
