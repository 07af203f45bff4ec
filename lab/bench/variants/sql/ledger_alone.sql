-- name: account_id
-- A function that returns the id of the n-th account: decimal digits are valid in a UUID.
CREATE SCHEMA bench;
CREATE FUNCTION bench.account_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT ('019b0000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$

-- name: accounts
-- Open the accounts with their balances.
SELECT ledger.seed_accounts(array_agg(bench.account_id(n)), array_agg($2::bigint))
FROM generate_series(1, $1::integer) n

-- name: has_batches
-- Whether the ledger can post a batch in one call.
SELECT to_regprocedure('ledger.post_group(ledger.posting[])') IS NOT NULL

-- name: posted
-- Number of debits in the books, and number of problems that the ledger's own check finds.
SELECT (SELECT count(*) FROM ledger.entry WHERE kind = 'BENCH_LEDGER' AND line = 1) AS debits,
    (SELECT count(*) FROM ledger.check()) AS problems

-- name: peer_accounts
-- The peer's accounts, numbered.
CREATE TABLE bench.account AS
SELECT row_number() OVER (ORDER BY id) AS n, id FROM pgledger_accounts
