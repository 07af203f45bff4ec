-- migrate:up

-- The books: who holds what (account), what moved (entry) and the words both use.
-- Everything belongs to ledger_owner, who cannot log in. Services execute functions and
-- nothing else; the judge reads.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ledger_owner') THEN
        CREATE ROLE ledger_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA ledger AUTHORIZATION ledger_owner;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO bp_payments, bp_transfers, bp_relay, bp_judge;

SET ROLE ledger_owner;

-- A function is executable by everyone from birth unless its owner says otherwise here.
ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner IN SCHEMA ledger GRANT SELECT ON TABLES TO bp_judge;

-- The shard of any id: the low six bits of its last byte. Plain SQL so that it is inlined.
CREATE FUNCTION ledger.shard_of(id uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (get_byte(uuid_send(id), 15) & 63)::smallint $$;

-- The smallest UUIDv7 of an instant: turns a bound in time into a bound in ids.
CREATE FUNCTION ledger.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- A fresh UUIDv7 that lies in a shard.
CREATE FUNCTION ledger.new_id(shard integer) RETURNS uuid
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
AS $$
    SELECT encode(set_byte(bytes, 15, (get_byte(bytes, 15) & 192) | (shard & 63)), 'hex')::uuid
    FROM (SELECT uuid_send(uuidv7())) AS drawn (bytes)
$$;

CREATE TYPE ledger.side AS ENUM ('DEBIT', 'CREDIT');

-- One line of a posting as its caller states it: exactly one of account_id and
-- internal_code, and an amount above zero. A DEBIT takes from it, a CREDIT gives to it.
CREATE TYPE ledger.leg AS (
    side ledger.side, account_id uuid, internal_code text, currency text, amount bigint
);

-- What a posting left behind on one customer account.
CREATE TYPE ledger.posted AS (
    account_id uuid, currency text, balance bigint, position bigint
);

-- The bank's own accounts. They have no balance row, so no transfer waits for another on one:
-- each shard has its own sub-account and the balance is a sum at read.
CREATE TABLE ledger.internal_account (
    code    text PRIMARY KEY CHECK (code ~ '^[A-Z][A-Z_]{1,30}$'),
    purpose text NOT NULL
);

INSERT INTO ledger.internal_account (code, purpose) VALUES
    ('ACH_CLEARING', 'Money debited from customers and not yet settled by the clearing house'),
    ('SETTLEMENT', 'Our position at the settlement bank'),
    ('FEES', 'Fees earned'),
    ('FUNDING', 'Where opening balances come from'),
    ('RETURNS', 'Returned payments on their way back to customers'),
    ('SUSPENSE', 'Money whose owner is not known yet');

-- A customer's account. The row is updated in place (HOT: no index covers what changes), so
-- pages keep room for the next version.
CREATE TABLE ledger.account (
    shard      smallint NOT NULL,
    account_id uuid NOT NULL,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance    bigint NOT NULL DEFAULT 0,
    position   bigint NOT NULL DEFAULT 0,
    open_time  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, account_id),
    CONSTRAINT account_never_negative CHECK (balance >= 0),
    -- ledger.shard_of written out: a check is prepared anew for each statement, and to inline a
    -- function there means to parse it.
    CONSTRAINT account_shard_of_id CHECK (shard = (get_byte(uuid_send(account_id), 15) & 63))
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- One line of a transaction, for ever. The id is a UUIDv7, so the range partitions are
-- partitions of time and the key still makes a transaction unique: its first line always lies
-- in the shard of the transaction's id.
CREATE TABLE ledger.entry (
    shard          smallint NOT NULL,
    transaction_id uuid NOT NULL,
    line           smallint NOT NULL,
    account_id     uuid,
    internal_code  text,
    currency       text NOT NULL,
    amount         bigint NOT NULL,
    balance_after  bigint,
    position       bigint,
    kind           text NOT NULL,
    reference      uuid NOT NULL,
    post_time      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, transaction_id, line),
    CONSTRAINT entry_of_one_account CHECK (num_nonnulls(account_id, internal_code) = 1),
    CONSTRAINT entry_position_of_customers CHECK (
        num_nonnulls(account_id, balance_after, position) IN (0, 3)),
    CONSTRAINT entry_amount_not_zero CHECK (amount <> 0),
    CONSTRAINT entry_never_negative CHECK (balance_after >= 0)
) PARTITION BY RANGE (transaction_id);

-- An account's statement, page by page, and the check of its positions.
CREATE INDEX entry_by_account ON ledger.entry (shard, account_id, position)
    WHERE account_id IS NOT NULL;

-- What a transfer posted. One line a transaction is enough to find the others by key.
CREATE INDEX entry_by_reference ON ledger.entry (shard, reference) WHERE line = 1;

-- The bank's own balances, as of the last roll-up …
CREATE TABLE ledger.internal_checkpoint (
    shard    smallint NOT NULL,
    code     text NOT NULL,
    currency text NOT NULL,
    balance  numeric NOT NULL,
    PRIMARY KEY (shard, code, currency)
) WITH (fillfactor = 60);

-- … and what was posted since: a queue without an index, filled by the entry trigger and
-- emptied by ledger.roll_up. It is exact whatever order transactions commit in, which a
-- watermark over time or ids would not be.
CREATE TABLE ledger.internal_pending (
    shard    smallint NOT NULL,
    code     text NOT NULL,
    currency text NOT NULL,
    amount   numeric NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- Refuses an entry that would unbalance the books, whoever inserts it, and remembers the
-- internal amounts for the roll-up.
CREATE FUNCTION ledger.entries_balance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unbalanced record;
BEGIN
    SELECT e.transaction_id, e.currency, sum(e.amount) AS amount INTO unbalanced
    FROM posted e GROUP BY e.transaction_id, e.currency HAVING sum(e.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM posted e
                       WHERE e.transaction_id = unbalanced.transaction_id AND e.line = 1) THEN
            PERFORM ledger.refuse_duplicate(unbalanced.transaction_id);
        END IF;
        RAISE EXCEPTION 'transaction % is off by % %: its entries must sum to zero',
            unbalanced.transaction_id, unbalanced.amount, unbalanced.currency
            USING ERRCODE = 'BP005';
    END IF;
    INSERT INTO ledger.internal_pending (shard, code, currency, amount)
    SELECT e.shard, e.internal_code, e.currency, e.amount
    FROM posted e WHERE e.internal_code IS NOT NULL;
    RETURN NULL;
END $$;

-- Raises DUPLICATE_TRANSACTION when a transaction of this id stands in the books already. Runs
-- on the way to another refusal only: a repeated debit must not be told "insufficient funds".
CREATE FUNCTION ledger.refuse_duplicate(transaction_id uuid) RETURNS void
LANGUAGE plpgsql STRICT
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger.entry e
        WHERE e.shard = ledger.shard_of(refuse_duplicate.transaction_id)
          AND e.transaction_id = refuse_duplicate.transaction_id AND e.line = 1
    ) THEN
        RAISE EXCEPTION 'transaction % is already posted', transaction_id USING ERRCODE = 'BP004';
    END IF;
END $$;

-- The books are written once: no role, the superuser included, changes or removes a line.
CREATE FUNCTION ledger.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'BP008', HINT = 'Post a transaction that reverses the wrong one.';
END $$;

CREATE TRIGGER entries_balance AFTER INSERT ON ledger.entry
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only();

-- Makes the monthly partitions from the month before `since` to `months_ahead` after it.
-- A partition is filled with its triggers first and attached then, which does not stop writers;
-- the triggers stand on each partition too, since a statement that names a partition fires only
-- that partition's.
CREATE FUNCTION ledger.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := 'entry_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('ledger.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.entry INCLUDING ALL)', partition);
        EXECUTE format('CREATE TRIGGER entries_balance AFTER INSERT ON ledger.%I '
            'REFERENCING NEW TABLE AS posted '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance()', partition);
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE '
            'ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', partition);
        EXECUTE format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

SELECT ledger.ensure_partitions();

GRANT EXECUTE ON FUNCTION ledger.shard_of(uuid), ledger.id_floor(timestamptz),
    ledger.new_id(integer) TO bp_payments, bp_transfers, bp_relay, bp_judge;
GRANT EXECUTE ON FUNCTION ledger.ensure_partitions(integer, timestamptz)
    TO bp_payments, bp_transfers, bp_relay;

RESET ROLE;

-- migrate:down
DROP SCHEMA ledger CASCADE;
