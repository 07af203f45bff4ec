-- name: accounts
-- Every account of every customer.
SELECT account_id::text FROM customers.account;

-- name: balances
-- The balances that the customers service projected.
SELECT account_id::text, currency, balance, position FROM customers.balance;
