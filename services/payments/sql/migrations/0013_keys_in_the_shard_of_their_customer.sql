-- migrate:up

-- Looks at the keys of before, beside readers and writers; a row that breaks the rule would be a
-- customer whose accounts lie in two shards.
ALTER TABLE payments.idempotency_key VALIDATE CONSTRAINT key_in_shard_of_customer;

-- migrate:down
SELECT 'a constraint that is valid stays so';
