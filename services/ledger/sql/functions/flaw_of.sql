-- Returns the SQLSTATE that refuses a posting before any account is read, or NULL when the posting
-- itself is right. `codes` are the codes of all internal accounts. It checks in the order of
-- ledger.post.
CREATE OR REPLACE FUNCTION ledger.flaw_of(posting ledger.posting, codes text[]) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    leg ledger.leg;
    currency text := (posting.legs[1]).currency;
    off_by bigint := 0;
    mixed boolean := false;
BEGIN
    -- The id: a UUIDv7 in the shard of the first account.
    IF uuid_extract_version(posting.transaction_id) IS DISTINCT FROM 7
       OR ledger.shard_of(posting.transaction_id)
          <> ledger.shard_of((posting.legs[1]).account_id) THEN
        RETURN 'BP007';
    ELSIF coalesce(cardinality(posting.legs), 0) NOT BETWEEN 2 AND 32 THEN
        RETURN 'BP006';
    END IF;
    -- Each leg: complete, with an amount within the limit and a known account.
    FOREACH leg IN ARRAY posting.legs LOOP
        IF leg.side IS NULL OR leg.currency IS NULL OR leg.amount IS NULL
           OR leg.amount NOT BETWEEN 1 AND 1000000000000000
           OR num_nonnulls(leg.account_id, leg.internal_code) <> 1 THEN
            RETURN 'BP006';
        ELSIF leg.internal_code <> ALL (codes) THEN
            RETURN 'BP009';
        END IF;
        off_by := off_by + CASE leg.side WHEN 'CREDIT' THEN leg.amount ELSE -leg.amount END;
        mixed := mixed OR leg.currency <> currency;
    END LOOP;
    -- The sum: zero over all legs, and in each currency when there are several.
    IF off_by <> 0 THEN
        RETURN 'BP005';
    ELSIF mixed THEN
        RETURN (SELECT 'BP005' WHERE EXISTS (
            SELECT FROM unnest(posting.legs) l GROUP BY l.currency
            HAVING sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) <> 0));
    END IF;
    RETURN NULL;
END $$;
