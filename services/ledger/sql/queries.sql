-- name: open_account
-- Opens an account, or returns the one that is open.
SELECT account_id, currency, balance, position FROM ledger.open_account($1, $2)

-- name: balance
-- An account's balance; no row when it is not open.
SELECT account_id, currency, balance, position FROM ledger.balance($1)

-- name: internal_balance
-- The balance of an internal account over all shards.
SELECT ledger.internal_balance($1, $2)

-- name: post
-- Posts a transaction with any legs.
SELECT account_id, currency, balance, position
FROM unnest(ledger.post($1, $2, $3, $4::ledger.leg[]))

-- name: post_group
-- Posts a batch of transactions in one statement; each is posted or refused separately.
SELECT refusal, positions FROM unnest(ledger.post_group($1::ledger.posting[]))

-- name: holders_of_accounts
-- The given accounts that another session holds, each with its holder.
SELECT account_id, holder FROM ledger.holders_of_accounts($1::uuid[])

-- name: debit_to_internal
-- Moves money from a customer's account to an internal account.
SELECT account_id, currency, balance, position
FROM unnest(ledger.debit_to_internal($1, $2, $3, $4, $5, $6, $7))

-- name: credit_from_internal
-- Moves money from an internal account to a customer's account.
SELECT account_id, currency, balance, position
FROM unnest(ledger.credit_from_internal($1, $2, $3, $4, $5, $6, $7))

-- name: statement
-- A page of an account's entries, newest first, after a position in that order.
SELECT transaction_id, kind, reference, currency, amount, balance_after, position, post_time
FROM ledger.statement($1, $2, $3)

-- name: check_books
-- Every error in the books.
SELECT problem, shard, account_id, transaction_id, code, currency, expected, actual
FROM ledger.check()

-- name: seed_accounts
-- Opens accounts with their opening balances; for the superuser.
SELECT ledger.seed_accounts($1::uuid[], $2::bigint[], $3)
