-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TABLE audit.record IS
    'One link of a chain; a chain is a partition of the topic audit-logs. Monthly partitions: '
    'event_id is a UUIDv7, so a range of ids is a range of time, and event_id is unique over all '
    'of them. services/audit/chain.py says what hash covers, under the number in hash_version; a '
    'new column takes a new number.';
COMMENT ON INDEX audit.record_subject IS
    'For the records of one subject, in order.';

COMMENT ON TABLE audit.record_other IS
    'Records whose month has no partition: the id is not a UUIDv7, or a clock was far off.';

-- migrate:down
COMMENT ON TABLE audit.record IS NULL;
COMMENT ON INDEX audit.record_subject IS NULL;
COMMENT ON TABLE audit.record_other IS NULL;
