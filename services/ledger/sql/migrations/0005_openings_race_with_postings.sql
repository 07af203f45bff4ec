-- migrate:up

-- A posting that met an account in the moment of its opening found no row to change and then one
-- when it looked for the reason, so a credit was told "insufficient". Now one look decides both
-- whether to try again and what the reason is.

SET ROLE ledger_owner;

-- Says why an account that was seen like this could not take a movement. Always raises.
CREATE FUNCTION ledger.refuse_movement(
    transaction_id uuid, account_id uuid, currency text, seen ledger.account
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM ledger.refuse_duplicate(transaction_id);
    IF seen.account_id IS NULL THEN
        RAISE EXCEPTION 'account % is not open', account_id USING ERRCODE = 'BP002';
    ELSIF seen.currency <> currency THEN
        RAISE EXCEPTION 'account % holds %, not %', account_id, seen.currency, currency
            USING ERRCODE = 'BP003';
    END IF;
    RAISE EXCEPTION 'account % does not hold the amount', account_id USING ERRCODE = 'BP001';
END $$;

-- Changes one account's balance by a signed amount, or raises. The row stays locked to the end
-- of the transaction.
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

DROP FUNCTION ledger.refuse_movement(uuid, uuid, text);

RESET ROLE;

-- migrate:down
SET ROLE ledger_owner;

CREATE FUNCTION ledger.refuse_movement(transaction_id uuid, account_id uuid, currency text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    seen ledger.account;
BEGIN
    SELECT * INTO seen FROM ledger.account a
    WHERE a.shard = ledger.shard_of(refuse_movement.account_id)
      AND a.account_id = refuse_movement.account_id;
    PERFORM ledger.refuse_movement(transaction_id, account_id, currency, seen);
END $$;

CREATE OR REPLACE FUNCTION ledger.move_balance(
    transaction_id uuid, account_id uuid, currency text, amount bigint
) RETURNS ledger.posted
LANGUAGE plpgsql
AS $$
DECLARE
    moved ledger.posted;
BEGIN
    UPDATE ledger.account a
    SET balance = a.balance + move_balance.amount, position = a.position + 1
    WHERE a.shard = ledger.shard_of(move_balance.account_id)
      AND a.account_id = move_balance.account_id
      AND a.currency = move_balance.currency
      AND a.balance + move_balance.amount >= 0
    RETURNING a.account_id, a.currency, a.balance, a.position INTO moved;
    IF NOT FOUND THEN
        PERFORM ledger.refuse_movement(transaction_id, account_id, currency);
    END IF;
    RETURN moved;
END $$;

RESET ROLE;
