-- Returns the numbers of those keys, in the arrays, that another session takes or frees in a
-- transaction that has not ended. It takes each key for a moment and waits a millisecond for it; a
-- subtransaction undoes that. Its commit does not wait for the disk or a standby.
CREATE OR REPLACE FUNCTION payments.held_keys(customer_ids uuid[], idempotency_keys text[])
RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1ms'
AS $$
DECLARE
    wanted record;
    held bigint[] := '{}';
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR wanted IN
        SELECT k.customer_id, k.idempotency_key, k.number
        FROM unnest(customer_ids, idempotency_keys)
            WITH ORDINALITY AS k (customer_id, idempotency_key, number)
    LOOP
        BEGIN
            INSERT INTO payments.idempotency_key AS k
                (shard, customer_id, idempotency_key, fingerprint, transfer_id)
            VALUES (ledger.shard_of(wanted.customer_id), wanted.customer_id,
                wanted.idempotency_key, '', wanted.customer_id)
            ON CONFLICT DO NOTHING;
            RAISE SQLSTATE 'BP099' USING MESSAGE = 'takes the key back';
        EXCEPTION
            WHEN lock_not_available THEN held := held || wanted.number;
            WHEN SQLSTATE 'BP099' THEN NULL;
        END;
    END LOOP;
    RETURN held;
END $$;
