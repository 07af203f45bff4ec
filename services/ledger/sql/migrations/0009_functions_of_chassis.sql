-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE ledger_owner;

-- Gives a partition the statement triggers of ledger.entry, because a statement that names a
-- partition fires only the triggers of that partition.
CREATE FUNCTION ledger.finish_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER entries_balance AFTER INSERT ON %s '
        'REFERENCING NEW TABLE AS posted '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance()', partition);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE '
        'ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', partition);
END $$;

-- Makes the missing monthly partitions of ledger.entry, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The relay calls it daily.
CREATE OR REPLACE FUNCTION ledger.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'ledger.entry', months_ahead, since, 'ledger.finish_partition')
$$;

-- Raises BP007 when the id is not a UUIDv7 or is not in the shard of the transaction's first
-- account.
CREATE OR REPLACE FUNCTION ledger.require_transaction_id(transaction_id uuid, first_account_id uuid)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF uuid_extract_version(transaction_id) IS DISTINCT FROM 7 THEN
        RAISE EXCEPTION 'transaction id % is not a UUIDv7', transaction_id USING ERRCODE = 'BP007';
    ELSIF ledger.shard_of(transaction_id) <> ledger.shard_of(first_account_id) THEN
        RAISE EXCEPTION 'transaction % is in shard %, its first account is in shard %',
            transaction_id, ledger.shard_of(transaction_id), ledger.shard_of(first_account_id)
            USING ERRCODE = 'BP007';
    END IF;
END $$;

COMMENT ON TABLE ledger.entry IS
    'One line of a transaction, never changed. amount is signed: above zero is a credit. Monthly '
    'partitions: transaction_id is a UUIDv7, so a range of ids is a range of time. The first line'
    ' of a transaction is in the shard of its id, so its id is unique over all shards.';

RESET ROLE;

-- migrate:down
SET ROLE ledger_owner;
CREATE OR REPLACE FUNCTION ledger.require_transaction_id(transaction_id uuid, first_account_id uuid)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF uuid_extract_version(transaction_id) IS DISTINCT FROM 7 THEN
        RAISE EXCEPTION 'transaction id % is not a UUIDv7', transaction_id USING ERRCODE = 'BP007';
    ELSIF ledger.shard_of(transaction_id) <> ledger.shard_of(first_account_id) THEN
        RAISE EXCEPTION 'transaction % lies in shard %, its first account in shard %',
            transaction_id, ledger.shard_of(transaction_id), ledger.shard_of(first_account_id)
            USING ERRCODE = 'BP007';
    END IF;
END $$;
CREATE OR REPLACE FUNCTION ledger.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := 'entry_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('ledger.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.entry INCLUDING ALL)', partition);
        EXECUTE format('CREATE TRIGGER entries_balance AFTER INSERT ON ledger.%I '
            'REFERENCING NEW TABLE AS posted '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance()', partition);
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE '
            'ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', partition);
        EXECUTE format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
DROP FUNCTION ledger.finish_partition(regclass);
RESET ROLE;
