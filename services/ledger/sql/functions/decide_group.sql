-- Decides in memory, for ledger.post_group, whether each posting is posted or refused, in the
-- order given. `flaws` has the SQLSTATE that already refuses a posting, `months` whether its month
-- has a partition, `posted` the ids that are in the books, `held` the locked accounts. Returns the
-- verdicts, the entries to write, and the balance and position that each account ends with. The
-- legs have no function of their own: it would copy the arrays at each call.
CREATE OR REPLACE FUNCTION ledger.decide_group(
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
