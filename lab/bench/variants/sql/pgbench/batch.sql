-- A batch of debits in one statement and one commit, as payments posts them. The accounts are
-- drawn at random.
SELECT count(*) FROM unnest(ledger.post_group(ARRAY(
    SELECT ROW(t.id, 'BENCH_LEDGER', t.id, ARRAY[
        ledger.debit(t.account_id, 'USD', 1),
        ledger.credit_internal('ACH_CLEARING', 'USD', 1)])::ledger.posting
    FROM (SELECT ledger.new_id(ledger.shard_of(a.id)) AS id, a.id AS account_id
          FROM (SELECT bench.account_id(1 + floor(random() * :accounts::integer)::integer) AS id
                FROM generate_series(1, :batch::integer)) a OFFSET 0) t))) v
WHERE v.refusal IS NULL;
