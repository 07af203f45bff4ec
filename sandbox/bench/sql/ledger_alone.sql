-- name: account_id
-- The id of the n-th account of this bench: decimal digits are hexadecimal ones too.
CREATE SCHEMA bench;
CREATE FUNCTION bench.account_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT ('019b0000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$

-- name: accounts
-- Opens the accounts with what each holds.
SELECT ledger.seed_accounts(array_agg(bench.account_id(n)), array_agg($2::bigint))
FROM generate_series(1, $1::integer) n

-- name: has_groups
-- Whether the ledger posts groups.
SELECT to_regprocedure('ledger.post_group(ledger.posting[])') IS NOT NULL

-- name: posted
-- How many debits the books hold, and in how many ways they are wrong.
SELECT (SELECT count(*) FROM ledger.entry WHERE kind = 'BENCH_LEDGER' AND line = 1) AS debits,
    (SELECT count(*) FROM ledger.check()) AS problems

-- name: peer_accounts
-- The peer's accounts under numbers.
CREATE TABLE bench.account AS
SELECT row_number() OVER (ORDER BY id) AS n, id FROM pgledger_accounts
