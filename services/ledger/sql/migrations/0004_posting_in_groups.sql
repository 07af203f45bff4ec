-- migrate:up

-- Many postings in one call: each is posted or refused by itself, as ledger.post would have done
-- with one after the other, but accounts are locked once, in the one order of locks, each row is
-- changed once and entries are written in one statement.

SET ROLE ledger_owner;

-- One transaction as its caller states it: the arguments of ledger.post.
CREATE TYPE ledger.posting AS (
    transaction_id uuid, kind text, reference uuid, legs ledger.leg[]
);

-- What became of one: `refusal` is NULL or the SQLSTATE with which ledger.post refuses it,
-- `positions` is what ledger.post returns.
CREATE TYPE ledger.verdict AS (refusal text, positions ledger.posted[]);

-- What is wrong with a posting itself, before any account is looked at; NULL when nothing is.
-- `codes` are those of all internal accounts. The order of the looks is that of ledger.post.
CREATE FUNCTION ledger.flaw_of(posting ledger.posting, codes text[]) RETURNS text
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

-- Says whether a partition takes a transaction's entries.
CREATE FUNCTION ledger.has_month(transaction_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT to_regclass('ledger.entry_' || to_char(
        uuid_extract_timestamp(transaction_id) AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL
$$;

-- The customer accounts of some postings, locked, in the order in which every posting locks.
-- By key, row after row, whatever the statistics of a young table say.
CREATE FUNCTION ledger.lock_accounts(postings ledger.posting[]) RETURNS ledger.posted[]
LANGUAGE sql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
    SELECT coalesce(array_agg(
        ROW(h.account_id, h.currency, h.balance, h.position)::ledger.posted), '{}')
    FROM (
        SELECT a.account_id, a.currency, a.balance, a.position
        FROM (SELECT DISTINCT l.account_id FROM unnest(postings) p, unnest(p.legs) l) wanted
        JOIN ledger.account a
          ON a.shard = ledger.shard_of(wanted.account_id) AND a.account_id = wanted.account_id
        ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a
    ) h
$$;

-- Those ids of some postings that stand in the books already.
CREATE FUNCTION ledger.posted_before(postings ledger.posting[]) RETURNS uuid[]
LANGUAGE sql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
    SELECT coalesce(array_agg(e.transaction_id), '{}')
    FROM unnest(postings) p
    JOIN ledger.entry e
      ON e.shard = ledger.shard_of(p.transaction_id) AND e.transaction_id = p.transaction_id
     AND e.line = 1
$$;

-- Writes what ledger.post_group decided: the entries, and how they leave the accounts.
CREATE FUNCTION ledger.write_group(
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

-- The last position of each account, in the order of these.
CREATE FUNCTION ledger.latest(moves ledger.posted[]) RETURNS ledger.posted[]
LANGUAGE sql
AS $$
    SELECT coalesce(array_agg(ROW(m.account_id, m.currency, m.balance, m.position)::ledger.posted
        ORDER BY m.n), '{}')
    FROM unnest(moves) WITH ORDINALITY m (account_id, currency, balance, position, n)
    WHERE NOT EXISTS (SELECT FROM unnest(moves) later
                      WHERE later.account_id = m.account_id AND later.position > m.position)
$$;

-- Posts what can be posted, in the order given, and says of each what became of it. An error is
-- raised, and then nothing of the group happened, only for what is no refusal of one posting: a
-- lock that is not granted, a missing kind or reference, an id that somebody else posts just now.
CREATE FUNCTION ledger.post_group(postings ledger.posting[]) RETURNS ledger.verdict[]
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

GRANT EXECUTE ON FUNCTION ledger.post_group(ledger.posting[]) TO bp_payments, bp_transfers;

RESET ROLE;

-- migrate:down
DROP FUNCTION ledger.post_group, ledger.latest, ledger.write_group, ledger.lock_accounts,
    ledger.posted_before, ledger.has_month, ledger.flaw_of;
DROP TYPE ledger.verdict, ledger.posting;
