-- Returns the last of the positions of each account, in the order given.
CREATE OR REPLACE FUNCTION ledger.latest(moves ledger.posted[]) RETURNS ledger.posted[]
LANGUAGE sql
AS $$
    SELECT coalesce(array_agg(ROW(m.account_id, m.currency, m.balance, m.position)::ledger.posted
        ORDER BY m.n), '{}')
    FROM unnest(moves) WITH ORDINALITY m (account_id, currency, balance, position, n)
    WHERE NOT EXISTS (SELECT FROM unnest(moves) later
                      WHERE later.account_id = m.account_id AND later.position > m.position)
$$;
