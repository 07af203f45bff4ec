-- Posts each posting that can be posted, in the order given, and returns a verdict on each. It
-- raises an error, and then posts nothing, only for what does not refuse a single posting: a lock
-- that is not granted, a missing kind or reference, or an id that another session posts at the
-- same moment.
CREATE OR REPLACE FUNCTION ledger.post_group(postings ledger.posting[]) RETURNS ledger.verdict[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What needs no account comes first: a group that waits for a lock has done this work by then.
    codes constant text[] := ARRAY(SELECT i.code FROM ledger.internal_account i);
    flaws constant text[] := ARRAY(SELECT ledger.flaw_of(p, codes) FROM unnest(postings) p);
    months constant boolean[] := ARRAY(
        SELECT ledger.has_month(p.transaction_id) FROM unnest(postings) p);
    posted uuid[] := ledger.posted_before(postings);
    held constant ledger.posted[] := ledger.lock_accounts(postings);
    decided record;
    posted_now uuid[];
BEGIN
    LOOP
        decided := ledger.decide_group(postings, flaws, months, posted, held);
        BEGIN
            PERFORM ledger.write_group(
                decided.lines, decided.account_ids, decided.balances, decided.positions);
            RETURN decided.verdicts;
        EXCEPTION WHEN SQLSTATE 'BP004' THEN
            -- Another session posted one of the ids meanwhile. Decide again, knowing that.
            posted_now := ledger.posted_before(postings);
            IF posted_now <@ posted THEN
                RAISE;
            END IF;
            posted := posted_now;
        END;
    END LOOP;
END $$;
