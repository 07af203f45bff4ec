-- Writes what ledger.decide_group decided: the balance and position of each account, and all
-- entries in one statement. Raises BP004, and writes nothing, when an id is already posted. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION ledger.write_group(
    lines ledger.entry[], account_ids uuid[], balances bigint[], positions bigint[]
) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    written integer;
BEGIN
    UPDATE ledger.account a
    SET balance = h.balance, position = h.position
    FROM unnest(account_ids, balances, positions) h (account_id, balance, position)
    WHERE a.shard = ledger.shard_of(h.account_id) AND a.account_id = h.account_id
      AND a.position <> h.position;
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    SELECT e.shard, e.transaction_id, e.line, e.account_id, e.internal_code, e.currency, e.amount,
        e.balance_after, e.position, e.kind, e.reference
    FROM unnest(lines) e
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    -- Another session posted one of the ids meanwhile, without an account that is locked here.
    IF written <> cardinality(lines) THEN
        RAISE EXCEPTION 'a transaction of the group is already posted' USING ERRCODE = 'BP004';
    END IF;
END $$;
