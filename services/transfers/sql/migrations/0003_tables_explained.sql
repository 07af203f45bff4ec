-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it.

COMMENT ON TYPE transfers.outcome IS
    'What became of a request: POSTED now, REPLAYED from an earlier request with this key, or '
    'REUSED when the key belongs to another payload. response is the answer, NULL for REUSED.';

COMMENT ON TYPE transfers.request IS
    'One request of a group: the arguments of transfers.post_book_transfer.';

COMMENT ON TABLE transfers.book_transfer IS
    'Posted transfers, never changed. response is the answer that the caller got, kept for '
    'replays. Monthly partitions: transfer_id is a UUIDv7 in the shard of the debited account.';
COMMENT ON INDEX transfers.book_transfer_by_account IS
    'For what an account paid, newest first, page by page.';

COMMENT ON TABLE transfers.idempotency_key IS
    'Which transfer each key of a customer made, for ever: a forgotten key could pay twice. A key'
    ' is unique over all time, so the partitions are by shard and not by time. The answer is with'
    ' the transfer.';

-- migrate:down
COMMENT ON TYPE transfers.outcome IS NULL;
COMMENT ON TYPE transfers.request IS NULL;
COMMENT ON TABLE transfers.book_transfer IS NULL;
COMMENT ON INDEX transfers.book_transfer_by_account IS NULL;
COMMENT ON TABLE transfers.idempotency_key IS NULL;
