-- name: post_book_transfer
-- Writes key, transfer, postings and event in one transaction and one round trip.
SELECT verdict, response
FROM transfers.post_book_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: post_book_transfers
-- Posts, replays or refuses each of several transfers separately, in one round trip and one commit.
SELECT transfer_id, verdict, response, refusal
FROM transfers.post_book_transfers($1::transfers.request[])

-- name: replay
-- The stored answer of an idempotency key; verdict is NULL when the key has no transfer.
SELECT verdict, response FROM transfers.replay($1, $2, $3)

-- name: known_beneficiaries
-- The numbers of those accounts, in the arrays, that the customer has paid before.
SELECT number FROM transfers.known_beneficiaries($1::uuid[], $2::uuid[])

-- name: transfer
-- One transfer by its id.
SELECT transfer_id, customer_id, account_id, destination_customer_id, destination_account_id,
    currency, amount, memo, create_time
FROM transfers.book_transfer
WHERE shard = $1 AND transfer_id = $2

-- name: transfers_of_account
-- One page of the transfers that an account paid in a range of time, newest first, after an id. The
-- range limits the ids too, so a page starts in the index.
SELECT transfer_id, customer_id, account_id, destination_customer_id, destination_account_id,
    currency, amount, memo, create_time
FROM transfers.book_transfer
WHERE shard = $1 AND account_id = $2 AND transfer_id < $3 AND transfer_id >= $5
    AND create_time >= $6 AND create_time < $7
ORDER BY transfer_id DESC
LIMIT $4

-- name: ensure_partitions
-- Creates the partitions of the coming months, also those of the ledger, which postings need.
SELECT transfers.ensure_partitions() + ledger.ensure_partitions()

-- name: forget_keys
-- Deletes some idempotency keys that the bank no longer honours; returns how many transfers it
-- checked.
SELECT transfers.forget_keys($1)

-- name: decline_group
-- Records declined orders and writes their events, in one round trip and one commit.
SELECT decline_id, outcome FROM transfers.decline_group($1::transfers.decline_row[], $2)

-- name: drop_old_declines
-- Drops the declined orders that the bank need not keep any longer.
SELECT transfers.drop_old_declines()

-- name: held_keys
-- The positions in the arrays of the keys that another session is taking or freeing.
SELECT payments.held_keys($1::uuid[], $2::text[])
