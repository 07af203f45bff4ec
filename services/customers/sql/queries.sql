-- name: customer
-- One customer by its id.
SELECT customer_id, user_name, display_name, email, locale, create_time
FROM customers.customer
WHERE customer_id = $1

-- name: locales
-- The languages of some customers.
SELECT customer_id, locale
FROM customers.customer
WHERE customer_id = ANY ($1::uuid[])

-- name: accounts
-- One page of a customer's accounts with their balances, oldest first, after an id. Each balance is
-- read by its key.
SELECT a.account_id, a.customer_id, a.account_type, a.currency, a.state, a.create_time,
    a.account_number, coalesce(b.balance, 0) AS balance, coalesce(b.position, 0) AS position
FROM customers.account a
LEFT JOIN LATERAL (
    SELECT b.balance, b.position
    FROM customers.balance b
    WHERE b.account_id = a.account_id
    LIMIT 1
) b ON true
WHERE a.customer_id = $1 AND a.account_id > $2
ORDER BY a.account_id
LIMIT $3

-- name: balance
-- The balance of one account of one customer; 0 for an account without postings.
SELECT a.account_id, a.currency, coalesce(b.balance, 0) AS balance,
    coalesce(b.position, 0) AS position
FROM customers.account a
LEFT JOIN customers.balance b USING (account_id)
WHERE a.account_id = $1 AND a.customer_id = $2

-- name: holdings
-- Accounts of any customers with their balances: everything that the checks of debits need.
SELECT a.account_id, a.customer_id, a.account_type, a.currency, a.state, a.create_time,
    coalesce(b.balance, 0) AS balance, coalesce(b.position, 0) AS position
FROM customers.account a
LEFT JOIN customers.balance b USING (account_id)
WHERE a.account_id = ANY ($1::uuid[])

-- name: holders
-- Returns what other customers may see of the holders of some accounts. Only the last digits of a
-- number leave the database, and none for a closed account, because it cannot be paid any more.
SELECT a.account_id, c.display_name AS name,
    CASE WHEN a.state = 'CLOSED' THEN '' ELSE right(a.account_number, 4) END
        AS account_number_ending
FROM customers.account a
JOIN customers.customer c USING (customer_id)
WHERE a.account_id = ANY ($1::uuid[])

-- name: positions
-- The positions of accounts that callers wait for.
SELECT account_id, position
FROM customers.balance
WHERE account_id = ANY ($1::uuid[])

-- name: apply_positions
-- Applies absolute balances, each account once; a row with a higher position stays. Sorted, so
-- that two consumers cannot deadlock. One notification per batch wakes callers that wait for a
-- balance. While the queue of notifications is nearly full, it is omitted, so that a login that
-- fills the queue cannot stop the balances; callers that wait then get a timeout and retry.
WITH applied AS (
    INSERT INTO customers.balance AS b (account_id, currency, balance, position)
    SELECT account_id, currency, balance, position
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
        AS arrived (account_id, currency, balance, position)
    ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE
    SET currency = excluded.currency, balance = excluded.balance, position = excluded.position
    WHERE b.position < excluded.position
    RETURNING b.account_id
)
SELECT count(*),
    CASE WHEN pg_notification_queue_usage() < 0.5 THEN pg_notify('customers_balance', '') END
FROM applied
HAVING count(*) > 0
