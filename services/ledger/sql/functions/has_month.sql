-- Returns whether there is a partition for the entries of a transaction.
CREATE OR REPLACE FUNCTION ledger.has_month(transaction_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT to_regclass('ledger.entry_' || to_char(
        uuid_extract_timestamp(transaction_id) AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL
$$;
