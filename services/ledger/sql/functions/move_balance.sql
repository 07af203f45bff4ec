-- Changes the balance of one account by a signed amount, or raises a refusal. The row stays locked
-- until the transaction ends. If the account was opened or funded between the update and the look
-- at it, the function tries again.
CREATE OR REPLACE FUNCTION ledger.move_balance(
    transaction_id uuid, account_id uuid, currency text, amount bigint
) RETURNS ledger.posted
LANGUAGE plpgsql
AS $$
DECLARE
    moved ledger.posted;
    seen ledger.account;
BEGIN
    LOOP
        UPDATE ledger.account a
        SET balance = a.balance + move_balance.amount, position = a.position + 1
        WHERE a.shard = ledger.shard_of(move_balance.account_id)
          AND a.account_id = move_balance.account_id
          AND a.currency = move_balance.currency
          AND a.balance + move_balance.amount >= 0
        RETURNING a.account_id, a.currency, a.balance, a.position INTO moved;
        EXIT WHEN FOUND;
        SELECT * INTO seen FROM ledger.account a
        WHERE a.shard = ledger.shard_of(move_balance.account_id)
          AND a.account_id = move_balance.account_id;
        CONTINUE WHEN seen.currency = currency AND seen.balance + amount >= 0;
        PERFORM ledger.refuse_movement(transaction_id, account_id, currency, seen);
    END LOOP;
    RETURN moved;
END $$;
