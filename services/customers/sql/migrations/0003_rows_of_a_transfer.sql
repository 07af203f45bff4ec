-- migrate:up

COMMENT ON TABLE customers.account IS
    'Accounts of customers. An account''s id carries the shard of its customer, so all rows of a '
    'transfer are in one shard.';

-- migrate:down
COMMENT ON TABLE customers.account IS
    'Accounts of customers. An account''s id carries the shard of its customer, so the rows of a '
    'transfer lie together.';
