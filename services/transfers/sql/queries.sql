-- name: post_book_transfer
-- Key, transfer, postings and event in one transaction and one round trip.
SELECT verdict, response
FROM transfers.post_book_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: post_book_transfers
-- Several transfers, each posted, replayed or refused by itself, in one round trip and one commit.
SELECT transfer_id, verdict, response, refusal
FROM transfers.post_book_transfers($1::transfers.request[])

-- name: replay
-- What an idempotency key made; verdict is NULL when it made nothing.
SELECT verdict, response FROM transfers.replay($1, $2, $3)

-- name: transfer
-- One transfer by id.
SELECT transfer_id, customer_id, account_id, destination_customer_id, destination_account_id,
    currency, amount, memo, create_time
FROM transfers.book_transfer
WHERE shard = $1 AND transfer_id = $2

-- name: transfers
-- A page of what an account paid, newest first, after an id.
SELECT transfer_id, customer_id, account_id, destination_customer_id, destination_account_id,
    currency, amount, memo, create_time
FROM transfers.book_transfer
WHERE shard = $1 AND account_id = $2 AND transfer_id < $3
ORDER BY transfer_id DESC
LIMIT $4

-- name: ensure_partitions
-- Makes the coming months' partitions, of the books too: no posting without them.
SELECT transfers.ensure_partitions() + ledger.ensure_partitions()
