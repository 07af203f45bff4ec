-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TYPE payments.debit_order IS
    'One debit of a group: the arguments of payments.debit.';

COMMENT ON TYPE payments.plain_step IS
    'A later step of one transfer that posts nothing, so the ledger cannot refuse it and it locks'
    ' no account.';

COMMENT ON TABLE payments.ach_notice IS
    'Notices of the clearing house. KEPT waits for its transfer, APPLIED changed it, STALE came '
    'after a later fact, CONFLICT contradicts what is known and waits for a person.';
COMMENT ON INDEX payments.ach_notice_kept IS
    'For the notices that wait for their transfer.';

COMMENT ON TABLE payments.idempotency_key IS
    'One accepted request of a customer for each key, as long as the bank keeps transfers. A '
    'refused request has no row. A compensated failure removes the row again.';

COMMENT ON TABLE payments.interbank_transfer IS
    'One row a transfer, which is also its saga. Monthly partitions: transfer_id is a UUIDv7, so '
    'a range of ids is a range of time.';
COMMENT ON INDEX payments.interbank_transfer_by_account IS
    'For the transfers of an account, newest first.';
COMMENT ON INDEX payments.interbank_transfer_by_trace IS
    'For the transfer of a notice that has no key of the bank.';
COMMENT ON INDEX payments.interbank_transfer_due IS
    'For the transfers that a worker has to take up: they still owe the clearing house a '
    'question.';
COMMENT ON INDEX payments.interbank_transfer_unsettled IS
    'For the submitted transfers without a notice, which the bank asks the clearing house about '
    'at lease_until.';

-- migrate:down
COMMENT ON TYPE payments.debit_order IS NULL;
COMMENT ON TYPE payments.plain_step IS NULL;
COMMENT ON TABLE payments.ach_notice IS NULL;
COMMENT ON INDEX payments.ach_notice_kept IS NULL;
COMMENT ON TABLE payments.idempotency_key IS NULL;
COMMENT ON TABLE payments.interbank_transfer IS NULL;
COMMENT ON INDEX payments.interbank_transfer_by_account IS NULL;
COMMENT ON INDEX payments.interbank_transfer_by_trace IS NULL;
COMMENT ON INDEX payments.interbank_transfer_due IS NULL;
COMMENT ON INDEX payments.interbank_transfer_unsettled IS NULL;
