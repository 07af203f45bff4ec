-- Posts a book transfer, once for each key of a customer. A second call with the key waits until
-- the first commits and then replays it. If the first is refused, it raises the refusal, its key is
-- rolled back, and the second call posts. The key of an interbank transfer is REUSED. Raises what
-- ledger.post raises. An account of another customer becomes known to the payer.
CREATE OR REPLACE FUNCTION transfers.post_book_transfer(
    customer_id uuid, idempotency_key text, fingerprint bytea,
    transfer_id uuid, account_id uuid, destination_customer_id uuid, destination_account_id uuid,
    currency text, amount bigint, memo text, create_time timestamptz, response bytea,
    event_id uuid, event_payload bytea, traceparent text
) RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    known transfers.outcome;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key
            (shard, customer_id, idempotency_key, fingerprint, transfer_id)
        VALUES (ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
            post_book_transfer.idempotency_key, post_book_transfer.fingerprint,
            post_book_transfer.transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        known := transfers.replay(customer_id, idempotency_key, fingerprint);
        -- Compensating an interbank transfer may have freed the key in between: then try again.
        CONTINUE WHEN known.verdict IS NULL;
        RETURN known;
    END LOOP;
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    VALUES (ledger.shard_of(post_book_transfer.transfer_id), post_book_transfer.transfer_id,
        post_book_transfer.customer_id, post_book_transfer.account_id,
        post_book_transfer.destination_customer_id, post_book_transfer.destination_account_id,
        post_book_transfer.currency, post_book_transfer.amount, post_book_transfer.memo,
        post_book_transfer.create_time, post_book_transfer.response);
    PERFORM outbox.append('transfers', account_id, event_id, 'bp.transfers.v1.BookTransferPosted',
        transfer_id, event_payload, traceparent,
        ledger.post(transfer_id, 'BOOK_TRANSFER', transfer_id, ARRAY[
            ledger.debit(account_id, currency, amount),
            ledger.credit(destination_account_id, currency, amount)]));
    INSERT INTO transfers.known_beneficiary (shard, customer_id, account_id, transfer_id)
    SELECT ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
        post_book_transfer.destination_account_id, post_book_transfer.transfer_id
    WHERE post_book_transfer.customer_id <> post_book_transfer.destination_customer_id
      AND NOT EXISTS (SELECT FROM transfers.known_beneficiary k
        WHERE k.shard = ledger.shard_of(post_book_transfer.customer_id)
          AND k.customer_id = post_book_transfer.customer_id
          AND k.account_id = post_book_transfer.destination_account_id);
    RETURN ROW('POSTED', response)::transfers.outcome;
END $$;
