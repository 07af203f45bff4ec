-- migrate:up

-- Migration 0011 left the key that both services had accepted with the interbank transfer. The book
-- transfers that have no key because of this are recorded, so that the judge reports only keys that
-- are lost later. Older transfers than 400 days need no key.
INSERT INTO payments.transfer_without_key (shard, transfer_id)
SELECT t.shard, t.transfer_id
FROM transfers.book_transfer t
WHERE t.transfer_id > chassis.id_floor(now() - interval '400 days')
  AND NOT EXISTS (
    SELECT FROM payments.idempotency_key k
    WHERE k.shard = ledger.shard_of(t.customer_id) AND k.customer_id = t.customer_id
      AND k.transfer_id = t.transfer_id)
ON CONFLICT DO NOTHING;

-- migrate:down
DELETE FROM payments.transfer_without_key w
USING transfers.book_transfer t
WHERE t.shard = w.shard AND t.transfer_id = w.transfer_id;
