-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TYPE ledger.side IS
    'Which side of an account a leg posts to: DEBIT takes from it, CREDIT gives to it.';

COMMENT ON TYPE ledger.leg IS
    'One line of a posting as its caller states it. Exactly one of account_id and internal_code '
    'is set, and amount is above zero.';

COMMENT ON TYPE ledger.posted IS
    'Balance and position of a customer account after a posting.';

COMMENT ON TYPE ledger.posting IS
    'One transaction of a group: the arguments of ledger.post.';

COMMENT ON TYPE ledger.verdict IS
    'What became of a posting of a group. refusal is NULL, or the SQLSTATE with which ledger.post'
    ' refuses it; positions are what ledger.post returns.';

COMMENT ON TABLE ledger.account IS
    'Customer accounts. position is the number of entries of the account. Rows are updated in '
    'place (HOT), so pages keep room for the next version.';

COMMENT ON TABLE ledger.entry IS
    'One line of a transaction, never changed. amount is signed: above zero is a credit. Monthly '
    'partitions: transaction_id is a UUIDv7, so a range of ids is a range of time. The first line'
    ' of a transaction lies in the shard of its id, so its id is unique over all shards.';
COMMENT ON INDEX ledger.entry_by_account IS
    'For the statement of an account, page by page, and the check of its positions.';
COMMENT ON INDEX ledger.entry_by_reference IS
    'For what a transfer posted: the first line of each transaction, from which the key finds the'
    ' others.';

COMMENT ON TABLE ledger.internal_account IS
    'The codes of the bank''s own accounts. They have no balance row, so no transfer waits for '
    'another on one: a balance is the sum of checkpoint and pending amounts over all shards.';

COMMENT ON TABLE ledger.internal_checkpoint IS
    'Balances of internal accounts as of the last roll-up.';

COMMENT ON TABLE ledger.internal_pending IS
    'Amounts of internal accounts since the last roll-up. The trigger of ledger.entry adds them, '
    'ledger.roll_up removes them. It is exact in any order of commits, which a watermark over '
    'times or ids is not.';

-- migrate:down
COMMENT ON TYPE ledger.side IS NULL;
COMMENT ON TYPE ledger.leg IS NULL;
COMMENT ON TYPE ledger.posted IS NULL;
COMMENT ON TYPE ledger.posting IS NULL;
COMMENT ON TYPE ledger.verdict IS NULL;
COMMENT ON TABLE ledger.account IS NULL;
COMMENT ON TABLE ledger.entry IS NULL;
COMMENT ON INDEX ledger.entry_by_account IS NULL;
COMMENT ON INDEX ledger.entry_by_reference IS NULL;
COMMENT ON TABLE ledger.internal_account IS NULL;
COMMENT ON TABLE ledger.internal_checkpoint IS NULL;
COMMENT ON TABLE ledger.internal_pending IS NULL;
