-- name: accounts
-- Every account of every customer.
SELECT account_id::text FROM customers.account;

-- name: balances
-- What customers believes that accounts hold.
SELECT account_id::text, currency, balance, position FROM customers.balance;
