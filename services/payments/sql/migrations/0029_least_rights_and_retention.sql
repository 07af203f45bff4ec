-- migrate:up

-- The service changes transfers and keys only by functions, which run as the owner of the schema.
-- It keeps its right to change leases and first answers, which move no money. And keys end after
-- 400 days.

GRANT EXECUTE ON FUNCTION
    ledger.debit(uuid, text, bigint), ledger.debit_internal(text, text, bigint),
    ledger.credit_internal(text, text, bigint),
    ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.post(uuid, text, uuid, ledger.leg[]), ledger.post_group(ledger.posting[]),
    outbox.append_group(text, outbox.draft[])
    TO payments_owner;

ALTER FUNCTION payments.debit OWNER TO payments_owner;
ALTER FUNCTION payments.debit SECURITY DEFINER;
ALTER FUNCTION payments.debit_each OWNER TO payments_owner;
ALTER FUNCTION payments.debit_each SECURITY DEFINER;
ALTER FUNCTION payments.advance OWNER TO payments_owner;
ALTER FUNCTION payments.advance SECURITY DEFINER;
ALTER FUNCTION payments.advance_group OWNER TO payments_owner;
ALTER FUNCTION payments.advance_group SECURITY DEFINER;
ALTER FUNCTION payments.find_keys OWNER TO payments_owner;
ALTER FUNCTION payments.free_refused_keys OWNER TO payments_owner;
ALTER FUNCTION payments.keep_debited OWNER TO payments_owner;
ALTER FUNCTION payments.outcomes_of_debits OWNER TO payments_owner;
ALTER FUNCTION payments.outcomes_of_keys OWNER TO payments_owner;
ALTER FUNCTION payments.post_transition OWNER TO payments_owner;
ALTER FUNCTION payments.postings_of OWNER TO payments_owner;
REVOKE EXECUTE ON FUNCTION
    payments.free_refused_keys, payments.keep_debited, payments.outcomes_of_debits,
    payments.outcomes_of_keys, payments.post_transition, payments.postings_of
    FROM bp_payments;

REVOKE INSERT, UPDATE ON payments.interbank_transfer FROM bp_payments;
GRANT UPDATE (accepted_response, lease_owner, lease_until, attempts)
    ON payments.interbank_transfer TO bp_payments;
REVOKE UPDATE ON payments.ach_notice FROM bp_payments;
GRANT UPDATE (state, receive_time) ON payments.ach_notice TO bp_payments;
REVOKE INSERT, DELETE ON payments.idempotency_key FROM bp_payments;

SET ROLE payments_owner;

-- Where the keys of each shard have been forgotten up to.
CREATE TABLE payments.keys_forgotten (
    shard   smallint NOT NULL PRIMARY KEY,
    through uuid NOT NULL
);
INSERT INTO payments.keys_forgotten (shard, through)
SELECT s, '00000000-0000-0000-0000-000000000000' FROM generate_series(0, 63) s;

COMMENT ON TABLE payments.keys_forgotten IS
    'How far the keys of each shard are forgotten: up to the transfer `through`.';
COMMENT ON TABLE payments.idempotency_key IS
    'One accepted request of a customer for each key, for 400 days. A refused request has no row. '
    'A failure that compensated before any answer removes the row.';
COMMENT ON COLUMN payments.interbank_transfer.failure_reason IS
    'A name of PaymentsErrorReason, or ACH_REFUSED/ and the clearing house''s own code, which '
    'customers do not read.';

-- Forgets keys of transfers that are older than 400 days, of at most `rows_max` transfers, and
-- returns how many transfers it looked at. It reads only transfers whose key it has not looked at
-- before, so its cost does not depend on how many the bank keeps. The service calls it daily.
CREATE FUNCTION payments.forget_keys(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before constant uuid := chassis.id_floor(now() - interval '400 days');
    place record;
    old uuid[];
    looked_at integer := 0;
BEGIN
    FOR place IN
        SELECT f.shard, f.through FROM payments.keys_forgotten f
        WHERE f.through < before ORDER BY f.shard FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN looked_at >= rows_max;
        old := ARRAY(
            SELECT t.transfer_id FROM payments.interbank_transfer t
            WHERE t.shard = place.shard AND t.transfer_id > place.through
              AND t.transfer_id < before
            ORDER BY t.transfer_id LIMIT rows_max - looked_at);
        CONTINUE WHEN old = '{}';
        DELETE FROM payments.idempotency_key k
        USING payments.interbank_transfer t
        WHERE t.shard = place.shard AND t.transfer_id = ANY (old)
          AND k.shard = place.shard AND k.customer_id = t.customer_id
          AND k.idempotency_key = t.idempotency_key AND k.transfer_id = t.transfer_id;
        UPDATE payments.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;

GRANT EXECUTE ON FUNCTION payments.forget_keys(integer) TO bp_payments;

RESET ROLE;

-- migrate:down
-- Older migrations drop the tables, so this one refuses while there is something to lose.
DO $$
BEGIN
    IF EXISTS (SELECT FROM payments.interbank_transfer)
        OR EXISTS (SELECT FROM payments.declined_order)
    THEN
        RAISE EXCEPTION 'schema payments holds transfers or declined orders'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
DROP FUNCTION payments.forget_keys(integer);
DROP TABLE payments.keys_forgotten;
GRANT INSERT, DELETE ON payments.idempotency_key TO bp_payments;
GRANT UPDATE ON payments.ach_notice TO bp_payments;
GRANT INSERT, UPDATE ON payments.interbank_transfer TO bp_payments;
GRANT EXECUTE ON FUNCTION
    payments.free_refused_keys, payments.keep_debited, payments.outcomes_of_debits,
    payments.outcomes_of_keys, payments.post_transition, payments.postings_of
    TO bp_payments;
ALTER FUNCTION payments.postings_of OWNER TO CURRENT_USER;
ALTER FUNCTION payments.post_transition OWNER TO CURRENT_USER;
ALTER FUNCTION payments.outcomes_of_keys OWNER TO CURRENT_USER;
ALTER FUNCTION payments.outcomes_of_debits OWNER TO CURRENT_USER;
ALTER FUNCTION payments.keep_debited OWNER TO CURRENT_USER;
ALTER FUNCTION payments.free_refused_keys OWNER TO CURRENT_USER;
ALTER FUNCTION payments.find_keys OWNER TO CURRENT_USER;
ALTER FUNCTION payments.advance_group SECURITY INVOKER;
ALTER FUNCTION payments.advance_group OWNER TO CURRENT_USER;
ALTER FUNCTION payments.advance SECURITY INVOKER;
ALTER FUNCTION payments.advance OWNER TO CURRENT_USER;
ALTER FUNCTION payments.debit_each SECURITY INVOKER;
ALTER FUNCTION payments.debit_each OWNER TO CURRENT_USER;
ALTER FUNCTION payments.debit SECURITY INVOKER;
ALTER FUNCTION payments.debit OWNER TO CURRENT_USER;
REVOKE EXECUTE ON FUNCTION
    ledger.debit(uuid, text, bigint), ledger.debit_internal(text, text, bigint),
    ledger.credit_internal(text, text, bigint),
    ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.post(uuid, text, uuid, ledger.leg[]), ledger.post_group(ledger.posting[]),
    outbox.append_group(text, outbox.draft[])
    FROM payments_owner;
