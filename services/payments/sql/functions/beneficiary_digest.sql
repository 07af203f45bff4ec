-- Returns the digest under which a beneficiary's account is known. It contains the customer, so
-- that the digests of two customers who pay the same account differ. PostgreSQL inlines it.
CREATE OR REPLACE FUNCTION payments.beneficiary_digest(
    customer_id uuid, routing_number text, account_number text
) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT sha256(uuid_send(customer_id)
        || convert_to(routing_number || '/' || account_number, 'UTF8'))
$$;
