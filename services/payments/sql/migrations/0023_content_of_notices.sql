-- migrate:up

ALTER TABLE payments.ach_notice ADD COLUMN content bytea;

COMMENT ON COLUMN payments.ach_notice.content IS
    'The body of a notice whose type the bank does not know, for a person; NULL for all others.';

-- migrate:down
ALTER TABLE payments.ach_notice DROP COLUMN content;
