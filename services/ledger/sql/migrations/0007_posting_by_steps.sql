-- migrate:up

-- ledger.post_group by its steps: look at what needs no account, lock the accounts, decide, write.
-- What is posted or refused, and the order of locks, are as before.

SET ROLE ledger_owner;

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

-- Takes back the entries of a posting that a later leg made impossible: returns the balances and
-- positions from before them.
CREATE FUNCTION ledger.moved_back(
    lines ledger.entry[], account_ids uuid[], INOUT balances bigint[], INOUT positions bigint[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    line ledger.entry;
    place integer;
BEGIN
    FOREACH line IN ARRAY lines LOOP
        CONTINUE WHEN line.account_id IS NULL;
        place := array_position(account_ids, line.account_id);
        balances[place] := balances[place] - line.amount;
        positions[place] := positions[place] - 1;
    END LOOP;
END $$;

-- Decides in memory, for ledger.post_group, whether each posting is posted or refused, in the
-- order given. `flaws` has the SQLSTATE that already refuses a posting, `months` whether its month
-- has a partition, `posted` the ids that are in the books, `held` the locked accounts. Returns the
-- verdicts, the entries to write, and the balance and position that each account ends with. The
-- legs have no function of their own: it would copy the arrays at each call.
CREATE FUNCTION ledger.decide_group(
    postings ledger.posting[], flaws text[], months boolean[], posted uuid[], held ledger.posted[],
    OUT verdicts ledger.verdict[], OUT lines ledger.entry[],
    OUT account_ids uuid[], OUT balances bigint[], OUT positions bigint[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    currencies text[];
    posting ledger.posting;
    number integer := 0;
    leg ledger.leg;
    place integer;
    amount bigint;
    moves ledger.posted[];
    lines_before integer;
    refusal text;
BEGIN
    SELECT array_agg(h.account_id), array_agg(h.currency), array_agg(h.balance),
        array_agg(h.position)
    INTO account_ids, currencies, balances, positions FROM unnest(held) h;
    lines := '{}';
    verdicts := '{}';
    FOREACH posting IN ARRAY postings LOOP
        number := number + 1;
        lines_before := cardinality(lines);
        moves := '{}';
        -- What is known before any balance: a flaw, or an id that is posted.
        refusal := coalesce(flaws[number],
            CASE WHEN posting.transaction_id = ANY (posted) THEN 'BP004' END);
        IF refusal IS NULL THEN
            -- The legs: each moves a balance, until one is refused.
            FOREACH leg IN ARRAY posting.legs LOOP
                amount := CASE leg.side WHEN 'CREDIT' THEN leg.amount ELSE -leg.amount END;
                place := array_position(account_ids, leg.account_id);
                IF place IS NOT NULL THEN
                    refusal := CASE WHEN currencies[place] <> leg.currency THEN 'BP003'
                        WHEN balances[place] + amount < 0 THEN 'BP001' END;
                    EXIT WHEN refusal IS NOT NULL;
                    balances[place] := balances[place] + amount;
                    positions[place] := positions[place] + 1;
                    moves := moves || ROW(leg.account_id, leg.currency, balances[place],
                        positions[place])::ledger.posted;
                ELSIF leg.account_id IS NOT NULL THEN
                    refusal := 'BP002';
                    EXIT;
                END IF;
                lines := lines || ROW(
                    ledger.shard_of(coalesce(leg.account_id, posting.transaction_id)),
                    posting.transaction_id, cardinality(lines) - lines_before + 1,
                    leg.account_id, leg.internal_code, leg.currency, amount, balances[place],
                    positions[place], posting.kind, posting.reference, NULL)::ledger.entry;
            END LOOP;
            IF refusal IS NULL AND NOT months[number] THEN
                refusal := 'BP007';
            END IF;
        END IF;
        -- The verdict: a refused posting leaves nothing behind.
        IF refusal IS NULL THEN
            posted := posted || posting.transaction_id;
            IF cardinality(moves) > 2 OR moves[1].account_id = moves[2].account_id THEN
                moves := ledger.latest(moves);
            END IF;
        ELSE
            IF flaws[number] IS NULL AND ledger.posted_before(ARRAY[posting]) <> '{}' THEN
                refusal := 'BP004';
            END IF;
            IF cardinality(lines) > lines_before THEN
                SELECT b.balances, b.positions INTO balances, positions FROM ledger.moved_back(
                    lines[lines_before + 1:], account_ids, balances, positions) b;
                lines := lines[:lines_before];
            END IF;
            moves := '{}';
        END IF;
        verdicts := verdicts || ROW(refusal, moves)::ledger.verdict;
    END LOOP;
END $$;

-- Writes what ledger.decide_group decided: the balance and position of each account, and all
-- entries in one statement. Raises BP004, and writes nothing, when an id is already posted. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION ledger.write_group(
    lines ledger.entry[], account_ids uuid[], balances bigint[], positions bigint[]
) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    written integer;
BEGIN
    UPDATE ledger.account a
    SET balance = h.balance, position = h.position
    FROM unnest(account_ids, balances, positions) h (account_id, balance, position)
    WHERE a.shard = ledger.shard_of(h.account_id) AND a.account_id = h.account_id
      AND a.position <> h.position;
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    SELECT e.shard, e.transaction_id, e.line, e.account_id, e.internal_code, e.currency, e.amount,
        e.balance_after, e.position, e.kind, e.reference
    FROM unnest(lines) e
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    -- Another session posted one of the ids meanwhile, without an account that is locked here.
    IF written <> cardinality(lines) THEN
        RAISE EXCEPTION 'a transaction of the group is already posted' USING ERRCODE = 'BP004';
    END IF;
END $$;

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

RESET ROLE;

-- migrate:down
SET ROLE ledger_owner;

-- Posts what can be posted, in the order given, and says of each what became of it. An error is
-- raised, and then nothing of the group happened, only for what is no refusal of one posting: a
-- lock that is not granted, a missing kind or reference, an id that somebody else posts just now.
CREATE OR REPLACE FUNCTION ledger.post_group(postings ledger.posting[]) RETURNS ledger.verdict[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    codes constant text[] := ARRAY(SELECT i.code FROM ledger.internal_account i);
    flaws constant text[] := ARRAY(SELECT ledger.flaw_of(p, codes) FROM unnest(postings) p);
    months constant boolean[] := ARRAY(
        SELECT ledger.has_month(p.transaction_id) FROM unnest(postings) p);
    posted_first uuid[] := ledger.posted_before(postings);
    held constant ledger.posted[] := ledger.lock_accounts(postings);
    ids constant uuid[] := ARRAY(SELECT h.account_id FROM unnest(held) h);
    currencies constant text[] := ARRAY(SELECT h.currency FROM unnest(held) h);
    balances bigint[];
    positions bigint[];
    posted uuid[];
    posting ledger.posting;
    number integer;
    leg ledger.leg;
    line ledger.entry;
    lines ledger.entry[];
    lines_before integer;
    moves ledger.posted[];
    place integer;
    amount bigint;
    refusal text;
    verdicts ledger.verdict[];
    posted_meanwhile uuid[];
BEGIN
    LOOP
        balances := ARRAY(SELECT h.balance FROM unnest(held) h);
        positions := ARRAY(SELECT h.position FROM unnest(held) h);
        posted := posted_first;
        number := 0;
        lines := '{}';
        verdicts := '{}';
        FOREACH posting IN ARRAY postings LOOP
            lines_before := cardinality(lines);
            moves := '{}';
            number := number + 1;
            refusal := coalesce(flaws[number],
                CASE WHEN posting.transaction_id = ANY (posted) THEN 'BP004' END);
            IF refusal IS NULL THEN
                FOREACH leg IN ARRAY posting.legs LOOP
                    amount := CASE leg.side WHEN 'CREDIT' THEN leg.amount ELSE -leg.amount END;
                    place := array_position(ids, leg.account_id);
                    IF place IS NOT NULL THEN
                        refusal := CASE WHEN currencies[place] <> leg.currency THEN 'BP003'
                            WHEN balances[place] + amount < 0 THEN 'BP001' END;
                        EXIT WHEN refusal IS NOT NULL;
                        balances[place] := balances[place] + amount;
                        positions[place] := positions[place] + 1;
                        moves := moves || ROW(leg.account_id, leg.currency, balances[place],
                            positions[place])::ledger.posted;
                    ELSIF leg.account_id IS NOT NULL THEN
                        refusal := 'BP002';
                        EXIT;
                    END IF;
                    lines := lines || ROW(
                        ledger.shard_of(coalesce(leg.account_id, posting.transaction_id)),
                        posting.transaction_id, cardinality(lines) - lines_before + 1,
                        leg.account_id, leg.internal_code, leg.currency, amount, balances[place],
                        positions[place], posting.kind, posting.reference, NULL)::ledger.entry;
                END LOOP;
                IF refusal IS NULL AND NOT months[number] THEN
                    refusal := 'BP007';
                END IF;
            END IF;
            IF refusal IS NULL THEN
                posted := posted || posting.transaction_id;
                IF cardinality(moves) > 2 OR moves[1].account_id = moves[2].account_id THEN
                    moves := ledger.latest(moves);
                END IF;
            ELSE
                IF flaws[number] IS NULL AND ledger.posted_before(ARRAY[posting]) <> '{}' THEN
                    refusal := 'BP004';
                END IF;
                -- What the first legs of a refused posting moved goes back.
                FOREACH line IN ARRAY lines[lines_before + 1:] LOOP
                    CONTINUE WHEN line.account_id IS NULL;
                    place := array_position(ids, line.account_id);
                    balances[place] := balances[place] - line.amount;
                    positions[place] := positions[place] - 1;
                END LOOP;
                lines := lines[:lines_before];
                moves := '{}';
            END IF;
            verdicts := verdicts || ROW(refusal, moves)::ledger.verdict;
        END LOOP;
        BEGIN
            PERFORM ledger.write_group(lines, ids, balances, positions);
            RETURN verdicts;
        EXCEPTION WHEN SQLSTATE 'BP004' THEN
            posted_meanwhile := ledger.posted_before(postings);
            IF posted_meanwhile <@ posted_first THEN
                RAISE;
            END IF;
            posted_first := posted_meanwhile;
        END;
    END LOOP;
END $$;

DROP FUNCTION ledger.decide_group, ledger.moved_back;

-- Writes what ledger.post_group decided: the entries, and how they leave the accounts.
CREATE OR REPLACE FUNCTION ledger.write_group(
    lines ledger.entry[], account_ids uuid[], balances bigint[], positions bigint[]
) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    written integer;
BEGIN
    UPDATE ledger.account a
    SET balance = h.balance, position = h.position
    FROM unnest(account_ids, balances, positions) h (account_id, balance, position)
    WHERE a.shard = ledger.shard_of(h.account_id) AND a.account_id = h.account_id
      AND a.position <> h.position;
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    SELECT e.shard, e.transaction_id, e.line, e.account_id, e.internal_code, e.currency, e.amount,
        e.balance_after, e.position, e.kind, e.reference
    FROM unnest(lines) e
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    -- Somebody posted one of these ids just now, without touching an account that is locked here.
    IF written <> cardinality(lines) THEN
        RAISE EXCEPTION 'a transaction of the group is already posted' USING ERRCODE = 'BP004';
    END IF;
END $$;

-- What is wrong with a posting itself, before any account is looked at; NULL when nothing is.
-- `codes` are those of all internal accounts. The order of the looks is that of ledger.post.
CREATE OR REPLACE FUNCTION ledger.flaw_of(posting ledger.posting, codes text[]) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    leg ledger.leg;
    currency text := (posting.legs[1]).currency;
    off_by bigint := 0;
    mixed boolean := false;
BEGIN
    IF uuid_extract_version(posting.transaction_id) IS DISTINCT FROM 7
       OR ledger.shard_of(posting.transaction_id)
          <> ledger.shard_of((posting.legs[1]).account_id) THEN
        RETURN 'BP007';
    ELSIF coalesce(cardinality(posting.legs), 0) NOT BETWEEN 2 AND 32 THEN
        RETURN 'BP006';
    END IF;
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
    IF off_by <> 0 THEN
        RETURN 'BP005';
    ELSIF mixed THEN
        RETURN (SELECT 'BP005' WHERE EXISTS (
            SELECT FROM unnest(posting.legs) l GROUP BY l.currency
            HAVING sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) <> 0));
    END IF;
    RETURN NULL;
END $$;

RESET ROLE;
