-- Returns the numbers of those accounts, in the arrays, that the customer has paid before. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION transfers.known_beneficiaries(customer_ids uuid[], account_ids uuid[])
RETURNS TABLE (number bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.number
    FROM unnest(customer_ids, account_ids) WITH ORDINALITY AS o (customer_id, account_id, number)
    WHERE EXISTS (SELECT FROM transfers.known_beneficiary k
        WHERE k.shard = ledger.shard_of(o.customer_id) AND k.customer_id = o.customer_id
          AND k.account_id = o.account_id);
END $$;
