-- migrate:up

-- For the transfers of an account that are in a state, newest first. Without it, a page of a rare
-- state reads every transfer of the account.
CREATE INDEX interbank_transfer_by_state ON payments.interbank_transfer
    (shard, account_id, state, transfer_id);

-- migrate:down
DROP INDEX payments.interbank_transfer_by_state;
