-- migrate:up

-- The only ways to move money. Every function here runs as ledger_owner; what it refuses has an
-- SQLSTATE of class BP (the table is in services/ledger/README.md). Functions without a GRANT at
-- the end of this file are steps of the others and callable by nobody else: they inherit the
-- search_path that those pin (pinning it again costs some microseconds a call) and name schemas.

SET ROLE ledger_owner;

-- The four ways to write a leg.
CREATE FUNCTION ledger.debit(account_id uuid, currency text, amount bigint) RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('DEBIT', account_id, NULL, currency, amount)::ledger.leg $$;

CREATE FUNCTION ledger.credit(account_id uuid, currency text, amount bigint) RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('CREDIT', account_id, NULL, currency, amount)::ledger.leg $$;

CREATE FUNCTION ledger.debit_internal(internal_code text, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('DEBIT', NULL, internal_code, currency, amount)::ledger.leg $$;

CREATE FUNCTION ledger.credit_internal(internal_code text, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('CREDIT', NULL, internal_code, currency, amount)::ledger.leg $$;

-- Opens an account with nothing in it. Repeating is harmless, from any number of connections at
-- once; the same id in another currency is refused.
CREATE FUNCTION ledger.open_account(account_id uuid, currency text) RETURNS ledger.posted
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held ledger.posted;
BEGIN
    INSERT INTO ledger.account AS a (shard, account_id, currency)
    VALUES (ledger.shard_of(open_account.account_id), open_account.account_id,
            open_account.currency)
    ON CONFLICT DO NOTHING;
    SELECT a.account_id, a.currency, a.balance, a.position INTO STRICT held
    FROM ledger.account a
    WHERE a.shard = ledger.shard_of(open_account.account_id)
      AND a.account_id = open_account.account_id;
    IF held.currency <> open_account.currency THEN
        RAISE EXCEPTION 'account % holds %, not %', open_account.account_id, held.currency,
            open_account.currency USING ERRCODE = 'BP003';
    END IF;
    RETURN held;
END $$;

-- Says why an account could not take a movement. Always raises.
CREATE FUNCTION ledger.refuse_movement(transaction_id uuid, account_id uuid, currency text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    held ledger.account;
BEGIN
    PERFORM ledger.refuse_duplicate(transaction_id);
    SELECT * INTO held FROM ledger.account a
    WHERE a.shard = ledger.shard_of(refuse_movement.account_id)
      AND a.account_id = refuse_movement.account_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account % is not open', account_id USING ERRCODE = 'BP002';
    ELSIF held.currency <> currency THEN
        RAISE EXCEPTION 'account % holds %, not %', account_id, held.currency, currency
            USING ERRCODE = 'BP003';
    END IF;
    RAISE EXCEPTION 'account % does not hold the amount', account_id USING ERRCODE = 'BP001';
END $$;

-- Changes one account's balance by a signed amount, or raises. The row stays locked to the end
-- of the transaction.
CREATE FUNCTION ledger.move_balance(
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

-- Refuses an id that is not a UUIDv7, or not in the shard of the transaction's first account.
CREATE FUNCTION ledger.require_transaction_id(transaction_id uuid, first_account_id uuid)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF uuid_extract_version(transaction_id) IS DISTINCT FROM 7 THEN
        RAISE EXCEPTION 'transaction id % is not a UUIDv7', transaction_id USING ERRCODE = 'BP007';
    ELSIF ledger.shard_of(transaction_id) <> ledger.shard_of(first_account_id) THEN
        RAISE EXCEPTION 'transaction % lies in shard %, its first account in shard %',
            transaction_id, ledger.shard_of(transaction_id), ledger.shard_of(first_account_id)
            USING ERRCODE = 'BP007';
    END IF;
END $$;

-- Refuses legs that are malformed or do not sum to zero in each currency.
CREATE FUNCTION ledger.require_legs(transaction_id uuid, legs ledger.leg[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    leg ledger.leg;
    unbalanced record;
BEGIN
    IF coalesce(cardinality(legs), 0) NOT BETWEEN 2 AND 32 THEN
        RAISE EXCEPTION 'a posting has 2 to 32 legs, not %', coalesce(cardinality(legs), 0)
            USING ERRCODE = 'BP006';
    END IF;
    FOREACH leg IN ARRAY legs LOOP
        IF leg.side IS NULL OR leg.currency IS NULL OR leg.amount IS NULL
           OR leg.amount NOT BETWEEN 1 AND 1000000000000000
           OR num_nonnulls(leg.account_id, leg.internal_code) <> 1 THEN
            RAISE EXCEPTION 'leg % needs a side, a currency, one account and an amount above zero',
                leg USING ERRCODE = 'BP006';
        END IF;
        PERFORM ledger.require_internal(leg.internal_code);
    END LOOP;
    SELECT l.currency, sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) AS amount
    INTO unbalanced
    FROM unnest(legs) l GROUP BY l.currency
    HAVING sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % is off by % %: its legs must sum to zero',
            transaction_id, unbalanced.amount, unbalanced.currency USING ERRCODE = 'BP005';
    END IF;
END $$;

-- Refuses an internal code that the books do not have; NULL passes.
CREATE FUNCTION ledger.require_internal(code text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF code IS NOT NULL
       AND NOT EXISTS (SELECT FROM ledger.internal_account i WHERE i.code = require_internal.code)
    THEN
        RAISE EXCEPTION 'internal account % does not exist', code USING ERRCODE = 'BP009';
    END IF;
END $$;

-- Posts a balanced transaction and returns what it left on each customer account, in the order
-- of the legs (an account that has several legs: its last). Customer rows are locked in
-- (shard, account_id) order before any changes, so postings cannot deadlock each other. Legs are
-- applied as listed, and no balance may be negative between two of them. Internal legs lie in
-- the shard of the transaction's id.
CREATE FUNCTION ledger.post(
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

-- The common case of post, one customer account against one internal account, in half the
-- statements. `amount` is signed: below zero it takes from the customer.
CREATE FUNCTION ledger.post_pair(
    transaction_id uuid, kind text, reference uuid, account_id uuid, currency text, amount bigint,
    internal_code text
) RETURNS ledger.posted[]
LANGUAGE plpgsql
AS $$
DECLARE
    home constant smallint := ledger.shard_of(transaction_id);
    moved ledger.posted;
    lines integer;
BEGIN
    PERFORM ledger.require_transaction_id(transaction_id, account_id);
    PERFORM ledger.require_internal(internal_code);
    moved := ledger.move_balance(transaction_id, account_id, currency, amount);
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    VALUES
        (home, transaction_id, 1, account_id, NULL, currency, amount, moved.balance,
         moved.position, kind, reference),
        (home, transaction_id, 2, NULL, internal_code, currency, -amount, NULL, NULL, kind,
         reference)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS lines = ROW_COUNT;
    IF lines <> 2 THEN
        RAISE EXCEPTION 'transaction % is already posted', transaction_id USING ERRCODE = 'BP004';
    END IF;
    RETURN ARRAY[moved];
END $$;

-- Refuses an amount that is not above zero and below the limit of a leg.
CREATE FUNCTION ledger.require_amount(amount bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF amount IS NULL OR amount NOT BETWEEN 1 AND 1000000000000000 THEN
        RAISE EXCEPTION 'a leg needs an amount above zero, not %', amount USING ERRCODE = 'BP006';
    END IF;
    RETURN amount;
END $$;

-- Takes an amount from a customer and gives it to an internal account of the same shard.
CREATE FUNCTION ledger.debit_to_internal(
    transaction_id uuid, kind text, reference uuid, account_id uuid, currency text, amount bigint,
    internal_code text
) RETURNS ledger.posted[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.post_pair(transaction_id, kind, reference, account_id, currency,
        -ledger.require_amount(amount), internal_code)
$$;

-- Gives a customer an amount from an internal account of the same shard.
CREATE FUNCTION ledger.credit_from_internal(
    transaction_id uuid, kind text, reference uuid, account_id uuid, currency text, amount bigint,
    internal_code text
) RETURNS ledger.posted[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.post_pair(transaction_id, kind, reference, account_id, currency,
        ledger.require_amount(amount), internal_code)
$$;

GRANT EXECUTE ON FUNCTION
    ledger.debit(uuid, text, bigint), ledger.credit(uuid, text, bigint),
    ledger.debit_internal(text, text, bigint), ledger.credit_internal(text, text, bigint),
    ledger.open_account(uuid, text),
    ledger.post(uuid, text, uuid, ledger.leg[]),
    ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text),
    ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text)
    TO bp_payments, bp_transfers;

RESET ROLE;

-- migrate:down
DROP FUNCTION ledger.credit_from_internal, ledger.debit_to_internal, ledger.require_amount,
    ledger.post_pair, ledger.post, ledger.require_internal, ledger.require_legs,
    ledger.require_transaction_id, ledger.move_balance, ledger.refuse_movement,
    ledger.open_account, ledger.credit_internal, ledger.debit_internal, ledger.credit,
    ledger.debit;
