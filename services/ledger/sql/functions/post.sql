-- Posts a balanced transaction and returns the position of each customer account after it, in the
-- order of the legs. Customer rows are locked in (shard, account_id) order before any of them
-- changes, so postings cannot deadlock each other. Legs apply in the order given, and no balance
-- may be negative after any of them. Internal legs are in the shard of the transaction's id.
CREATE OR REPLACE FUNCTION ledger.post(
    transaction_id uuid, kind text, reference uuid, legs ledger.leg[]
) RETURNS ledger.posted[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home constant smallint := ledger.shard_of(transaction_id);
    leg ledger.leg;
    moved ledger.posted;
    moves ledger.posted[] := '{}';
    lines integer;
BEGIN
    PERFORM ledger.require_transaction_id(transaction_id, legs[1].account_id);
    PERFORM ledger.require_legs(transaction_id, legs);
    PERFORM FROM ledger.account a
    JOIN (SELECT DISTINCT l.account_id FROM unnest(legs) l WHERE l.account_id IS NOT NULL) wanted
      ON a.shard = ledger.shard_of(wanted.account_id) AND a.account_id = wanted.account_id
    ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a;
    FOREACH leg IN ARRAY legs LOOP
        moved := NULL;
        IF leg.account_id IS NOT NULL THEN
            moved := ledger.move_balance(transaction_id, leg.account_id, leg.currency,
                CASE leg.side WHEN 'CREDIT' THEN leg.amount ELSE -leg.amount END);
        END IF;
        moves := moves || moved;
    END LOOP;
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    SELECT coalesce(ledger.shard_of(l.account_id), home), post.transaction_id, l.line,
        l.account_id, l.internal_code, l.currency,
        CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END,
        m.balance, m.position, post.kind, post.reference
    FROM unnest(legs) WITH ORDINALITY l (side, account_id, internal_code, currency, amount, line)
    JOIN unnest(moves) WITH ORDINALITY m (account_id, currency, balance, position, line)
        USING (line)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS lines = ROW_COUNT;
    IF lines <> cardinality(legs) THEN
        RAISE EXCEPTION 'transaction % is already posted', transaction_id USING ERRCODE = 'BP004';
    END IF;
    RETURN ARRAY(
        SELECT ROW(m.account_id, m.currency, m.balance, m.position)::ledger.posted
        FROM unnest(moves) m
        WHERE m.account_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM unnest(moves) later
                          WHERE later.account_id = m.account_id AND later.position > m.position));
END $$;
