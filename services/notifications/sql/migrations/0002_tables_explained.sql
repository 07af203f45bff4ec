-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TABLE notif.device IS
    'Installed apps that can be reached. A token belongs to one customer at a time.';
COMMENT ON INDEX notif.device_customer IS
    'For the devices of a customer.';

COMMENT ON TABLE notif.notification IS
    'Messages to customers, written once. The id is derived from the event''s, so an event that '
    'comes again makes no second message. Ids begin with their time, so a range of ids is a '
    'month.';
COMMENT ON INDEX notif.notification_customer IS
    'For the messages of a customer, newest first.';

COMMENT ON TABLE notif.delivery IS
    'One message on one channel to one device. next_attempt_time is also the lease of the process'
    ' that sends it: until then no other process may. attempts is raised before the message is '
    'sent, so it is never too low.';
COMMENT ON INDEX notif.delivery_pending IS
    'For the deliveries that are due.';

COMMENT ON TABLE notif.notification_other IS
    'Messages whose month has no partition.';

COMMENT ON TABLE notif.delivery_other IS
    'Deliveries whose month has no partition.';

-- migrate:down
COMMENT ON TABLE notif.device IS NULL;
COMMENT ON INDEX notif.device_customer IS NULL;
COMMENT ON TABLE notif.notification IS NULL;
COMMENT ON INDEX notif.notification_customer IS NULL;
COMMENT ON TABLE notif.delivery IS NULL;
COMMENT ON INDEX notif.delivery_pending IS NULL;
COMMENT ON TABLE notif.notification_other IS NULL;
COMMENT ON TABLE notif.delivery_other IS NULL;
