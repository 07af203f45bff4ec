-- Returns which transaction ids of some postings are already in the books. The settings make
-- PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION ledger.posted_before(postings ledger.posting[]) RETURNS uuid[]
LANGUAGE sql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
    SELECT coalesce(array_agg(e.transaction_id), '{}')
    FROM unnest(postings) p
    JOIN ledger.entry e
      ON e.shard = ledger.shard_of(p.transaction_id) AND e.transaction_id = p.transaction_id
     AND e.line = 1
$$;
