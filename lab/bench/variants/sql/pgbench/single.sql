-- One debit of one account in its own statement and commit. The script also creates the ids, which
-- a service does before the call; this cost does not belong to the ledger.
\set n random(1, :accounts)
SELECT ledger.debit_to_internal(t.id, 'BENCH_LEDGER', t.id, t.account_id, 'USD', 1, 'ACH_CLEARING')
FROM (SELECT ledger.new_id(ledger.shard_of(a.id)) AS id, a.id AS account_id
      FROM (SELECT bench.account_id(:n::integer) AS id OFFSET 0) a OFFSET 0) t;
