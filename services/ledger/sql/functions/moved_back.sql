-- Undoes the entries of a posting whose later leg was refused: returns the balances and positions
-- from before them.
CREATE OR REPLACE FUNCTION ledger.moved_back(
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
