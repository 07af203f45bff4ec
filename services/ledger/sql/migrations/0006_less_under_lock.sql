-- migrate:up

-- What needs no account is looked at before the accounts are locked: a group that waits for
-- another's accounts has done that work when its turn comes. That an id was posted meanwhile is
-- found before its posting is refused for another reason, or when its entries are written; then
-- the group is decided once more.

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
    held constant ledger.posted[] := ledger.lock_accounts(postings);
    ids constant uuid[] := ARRAY(SELECT h.account_id FROM unnest(held) h);
    currencies constant text[] := ARRAY(SELECT h.currency FROM unnest(held) h);
    balances bigint[] := ARRAY(SELECT h.balance FROM unnest(held) h);
    positions bigint[] := ARRAY(SELECT h.position FROM unnest(held) h);
    posted uuid[] := ledger.posted_before(postings);
    posting ledger.posting;
    leg ledger.leg;
    line ledger.entry;
    lines ledger.entry[] := '{}';
    lines_before integer;
    moves ledger.posted[];
    place integer;
    amount bigint;
    refusal text;
    verdicts ledger.verdict[] := '{}';
BEGIN
    FOREACH posting IN ARRAY postings LOOP
        lines_before := cardinality(lines);
        moves := '{}';
        refusal := CASE WHEN posting.transaction_id = ANY (posted)
            THEN coalesce(ledger.flaw_of(posting, codes), 'BP004')
            ELSE ledger.flaw_of(posting, codes) END;
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
                    posting.transaction_id, cardinality(lines) - lines_before + 1, leg.account_id,
                    leg.internal_code, leg.currency, amount, balances[place], positions[place],
                    posting.kind, posting.reference, NULL)::ledger.entry;
            END LOOP;
            IF refusal IS NULL AND NOT ledger.has_month(posting.transaction_id) THEN
                refusal := 'BP007';
            END IF;
        END IF;
        IF refusal IS NULL THEN
            posted := posted || posting.transaction_id;
            IF cardinality(moves) > 2 OR moves[1].account_id = moves[2].account_id THEN
                moves := ledger.latest(moves);
            END IF;
        ELSE
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
    PERFORM ledger.write_group(lines, ids, balances, positions);
    RETURN verdicts;
END $$;

RESET ROLE;
