-- Returns the numbers of those beneficiaries, in the arrays, that the customer has paid before. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION payments.known_beneficiaries(
    customer_ids uuid[], routing_numbers text[], account_numbers text[]
) RETURNS TABLE (number bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.number
    FROM unnest(customer_ids, routing_numbers, account_numbers)
        WITH ORDINALITY AS o (customer_id, routing_number, account_number, number)
    WHERE EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = ledger.shard_of(o.customer_id) AND k.customer_id = o.customer_id
          AND k.beneficiary = payments.beneficiary_digest(o.customer_id, o.routing_number,
              o.account_number));
END $$;
