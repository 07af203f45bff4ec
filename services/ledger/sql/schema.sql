-- Schema ledger of database bp_write as the migrations of services/ledger make it. `make gen`
-- writes this file and `make check` compares it; nothing runs it. Each function is in functions/.
-- The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA ledger;
ALTER SCHEMA ledger OWNER TO ledger_owner;

-- Which side of an account a leg posts to: DEBIT takes from it, CREDIT gives to it.
CREATE TYPE ledger.side AS ENUM (
    'DEBIT',
    'CREDIT'
);
ALTER TYPE ledger.side OWNER TO ledger_owner;

-- One line of a posting as its caller states it. Exactly one of account_id and internal_code is
-- set, and amount is above zero.
CREATE TYPE ledger.leg AS (
    side ledger.side,
    account_id uuid,
    internal_code text,
    currency text,
    amount bigint
);
ALTER TYPE ledger.leg OWNER TO ledger_owner;

-- Balance and position of a customer account after a posting.
CREATE TYPE ledger.posted AS (
    account_id uuid,
    currency text,
    balance bigint,
    "position" bigint
);
ALTER TYPE ledger.posted OWNER TO ledger_owner;

-- One transaction of a group: the arguments of ledger.post.
CREATE TYPE ledger.posting AS (
    transaction_id uuid,
    kind text,
    reference uuid,
    legs ledger.leg[]
);
ALTER TYPE ledger.posting OWNER TO ledger_owner;

-- What became of a posting of a group. refusal is NULL, or the SQLSTATE with which ledger.post
-- refuses it; positions are what ledger.post returns.
CREATE TYPE ledger.verdict AS (
    refusal text,
    positions ledger.posted[]
);
ALTER TYPE ledger.verdict OWNER TO ledger_owner;

GRANT USAGE ON SCHEMA ledger TO bp_payments;
GRANT USAGE ON SCHEMA ledger TO bp_transfers;
GRANT USAGE ON SCHEMA ledger TO bp_relay;
GRANT USAGE ON SCHEMA ledger TO bp_judge;
GRANT USAGE ON SCHEMA ledger TO outbox_owner;
GRANT USAGE ON SCHEMA ledger TO payments_owner;
GRANT USAGE ON SCHEMA ledger TO transfers_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner IN SCHEMA ledger GRANT SELECT ON TABLES TO bp_judge;

-- Customer accounts. position is the number of entries of the account. Rows are updated in place
-- (HOT), so pages keep room for the next version.
CREATE TABLE ledger.account (
    shard smallint NOT NULL,
    account_id uuid NOT NULL,
    currency text NOT NULL,
    balance bigint DEFAULT 0 NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    open_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT account_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT account_never_negative CHECK ((balance >= 0)),
    CONSTRAINT account_shard_of_id CHECK ((shard = (get_byte(uuid_send(account_id), 15) & 63)))
)
WITH (fillfactor='60', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
ALTER TABLE ledger.account OWNER TO ledger_owner;

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (shard, account_id);

GRANT SELECT ON TABLE ledger.account TO bp_judge;

-- One line of a transaction, never changed. amount is signed: above zero is a credit. Monthly
-- partitions: transaction_id is a UUIDv7, so a range of ids is a range of time. The first line of a
-- transaction is in the shard of its id, so its id is unique over all shards.
CREATE TABLE ledger.entry (
    shard smallint NOT NULL,
    transaction_id uuid NOT NULL,
    line smallint NOT NULL,
    account_id uuid,
    internal_code text,
    currency text NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint,
    "position" bigint,
    kind text NOT NULL,
    reference uuid NOT NULL,
    post_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT entry_amount_not_zero CHECK ((amount <> 0)),
    CONSTRAINT entry_never_negative CHECK ((balance_after >= 0)),
    CONSTRAINT entry_of_one_account CHECK ((num_nonnulls(account_id, internal_code) = 1)),
    CONSTRAINT entry_position_of_customers CHECK ((num_nonnulls(account_id, balance_after,
        "position") = ANY (ARRAY[0, 3])))
)
PARTITION BY RANGE (transaction_id);
ALTER TABLE ledger.entry OWNER TO ledger_owner;

ALTER TABLE ONLY ledger.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (shard, transaction_id, line);

-- For the statement of an account, page by page, and the check of its positions.
CREATE INDEX entry_by_account ON ONLY ledger.entry USING btree (shard, account_id, "position") WHERE
    (account_id IS NOT NULL);

-- For what a transfer posted: the first line of each transaction, from which the key finds the
-- others.
CREATE INDEX entry_by_reference ON ONLY ledger.entry USING btree (shard, reference) WHERE (line =
    1);

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.entry FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.append_only();

CREATE TRIGGER entries_balance AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS posted FOR EACH
    STATEMENT EXECUTE FUNCTION ledger.entries_balance();

GRANT SELECT ON TABLE ledger.entry TO bp_judge;

-- The codes of the bank's own accounts. They have no balance row, so no transfer waits for another
-- on one: a balance is the sum of checkpoint and pending amounts over all shards.
CREATE TABLE ledger.internal_account (
    code text NOT NULL,
    purpose text NOT NULL,
    CONSTRAINT internal_account_code_check CHECK ((code ~ '^[A-Z][A-Z_]{1,30}$'::text))
);
ALTER TABLE ledger.internal_account OWNER TO ledger_owner;

ALTER TABLE ONLY ledger.internal_account
    ADD CONSTRAINT internal_account_pkey PRIMARY KEY (code);

GRANT SELECT ON TABLE ledger.internal_account TO bp_judge;

-- Balances of internal accounts as of the last roll-up.
CREATE TABLE ledger.internal_checkpoint (
    shard smallint NOT NULL,
    code text NOT NULL,
    currency text NOT NULL,
    balance numeric NOT NULL
)
WITH (fillfactor='60');
ALTER TABLE ledger.internal_checkpoint OWNER TO ledger_owner;

ALTER TABLE ONLY ledger.internal_checkpoint
    ADD CONSTRAINT internal_checkpoint_pkey PRIMARY KEY (shard, code, currency);

GRANT SELECT ON TABLE ledger.internal_checkpoint TO bp_judge;

-- Amounts of internal accounts since the last roll-up. The trigger of ledger.entry adds them,
-- ledger.roll_up removes them. It is exact in any order of commits, which a watermark over times or
-- ids is not.
CREATE TABLE ledger.internal_pending (
    shard smallint NOT NULL,
    code text NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='5000');
ALTER TABLE ledger.internal_pending OWNER TO ledger_owner;

GRANT SELECT ON TABLE ledger.internal_pending TO bp_judge;

-- functions/append_only.sql, owned by ledger_owner
-- Only its owner may execute ledger.append_only().

-- functions/balance.sql, owned by ledger_owner
-- Only its owner may execute ledger.balance(uuid).

-- functions/check.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger."check"() TO bp_judge;

-- functions/credit.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.credit(uuid, text, bigint) TO transfers_owner;

-- functions/credit_from_internal.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.credit_from_internal(uuid, text, uuid, uuid, text, bigint, text) TO
    payments_owner;

-- functions/credit_internal.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.credit_internal(text, text, bigint) TO payments_owner;

-- functions/debit.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.debit(uuid, text, bigint) TO payments_owner, transfers_owner;

-- functions/debit_internal.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.debit_internal(text, text, bigint) TO payments_owner;

-- functions/debit_to_internal.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.debit_to_internal(uuid, text, uuid, uuid, text, bigint, text) TO
    payments_owner;

-- functions/decide_group.sql, owned by ledger_owner
-- Only its owner may execute ledger.decide_group(ledger.posting[], text[], boolean[], uuid[],
-- ledger.posted[]).

-- functions/ensure_partitions.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.ensure_partitions(integer, timestamp with time zone) TO bp_relay,
    bp_transfers;

-- functions/entries_balance.sql, owned by ledger_owner
-- Only its owner may execute ledger.entries_balance().

-- functions/finish_partition.sql, owned by ledger_owner
-- Only its owner may execute ledger.finish_partition(regclass).

-- functions/flaw_of.sql, owned by ledger_owner
-- Only its owner may execute ledger.flaw_of(ledger.posting, text[]).

-- functions/has_month.sql, owned by ledger_owner
-- Only its owner may execute ledger.has_month(uuid).

-- functions/held_accounts.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.held_accounts(uuid[]) TO bp_payments, bp_transfers;

-- functions/holders_of_accounts.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.holders_of_accounts(uuid[]) TO bp_payments, bp_transfers;

-- functions/internal_balance.sql, owned by ledger_owner
-- Only its owner may execute ledger.internal_balance(text, text).

-- functions/last_position.sql, owned by ledger_owner
-- Only its owner may execute ledger.last_position(uuid, timestamp with time zone).

-- functions/latest.sql, owned by ledger_owner
-- Only its owner may execute ledger.latest(ledger.posted[]).

-- functions/lock_accounts.sql, owned by ledger_owner
-- Only its owner may execute ledger.lock_accounts(ledger.posting[]).

-- functions/move_balance.sql, owned by ledger_owner
-- Only its owner may execute ledger.move_balance(uuid, uuid, text, bigint).

-- functions/moved_back.sql, owned by ledger_owner
-- Only its owner may execute ledger.moved_back(ledger.entry[], uuid[], bigint[], bigint[]).

-- functions/new_id.sql, owned by ledger_owner
-- Only its owner may execute ledger.new_id(integer).

-- functions/open_account.sql, owned by ledger_owner
-- Only its owner may execute ledger.open_account(uuid, text).

-- functions/position_before.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.position_before(uuid, timestamp with time zone) TO bp_transfers;

-- functions/post.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.post(uuid, text, uuid, ledger.leg[]) TO payments_owner,
    transfers_owner;

-- functions/post_group.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.post_group(ledger.posting[]) TO payments_owner, transfers_owner;

-- functions/post_pair.sql, owned by ledger_owner
-- Only its owner may execute ledger.post_pair(uuid, text, uuid, uuid, text, bigint, text).

-- functions/posted_before.sql, owned by ledger_owner
-- Only its owner may execute ledger.posted_before(ledger.posting[]).

-- functions/refuse_duplicate.sql, owned by ledger_owner
-- Only its owner may execute ledger.refuse_duplicate(uuid).

-- functions/refuse_movement.sql, owned by ledger_owner
-- Only its owner may execute ledger.refuse_movement(uuid, uuid, text, ledger.account).

-- functions/require_amount.sql, owned by ledger_owner
-- Only its owner may execute ledger.require_amount(bigint).

-- functions/require_internal.sql, owned by ledger_owner
-- Only its owner may execute ledger.require_internal(text).

-- functions/require_legs.sql, owned by ledger_owner
-- Only its owner may execute ledger.require_legs(uuid, ledger.leg[]).

-- functions/require_transaction_id.sql, owned by ledger_owner
-- Only its owner may execute ledger.require_transaction_id(uuid, uuid).

-- functions/roll_up.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.roll_up(integer) TO bp_relay;

-- functions/seed_accounts.sql, owned by ledger_owner
-- Only its owner may execute ledger.seed_accounts(uuid[], bigint[], text).

-- functions/shard_of.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.shard_of(uuid) TO bp_judge, bp_payments, bp_transfers,
    payments_owner, transfers_owner;

-- functions/statement.sql, owned by ledger_owner
GRANT EXECUTE ON FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean) TO
    bp_transfers;

-- functions/write_group.sql, owned by ledger_owner
-- Only its owner may execute ledger.write_group(ledger.entry[], uuid[], bigint[], bigint[]).
