-- Schema transfers of database bp_write as the migrations of services/transfers make it. `make gen`
-- writes this file and `make check` compares it; nothing runs it. Each function is in functions/.
-- The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA transfers;
ALTER SCHEMA transfers OWNER TO transfers_owner;

-- One declined order with its event, for transfers.decline_group.
CREATE TYPE transfers.decline_row AS (
    decline_id uuid,
    customer_id uuid,
    account_id uuid,
    destination_account_id uuid,
    amount bigint,
    currency text,
    reason text,
    order_id uuid,
    correlation_id text,
    decline_time timestamp with time zone,
    event_id uuid,
    payload bytea,
    traceparent text
);
ALTER TYPE transfers.decline_row OWNER TO transfers_owner;

-- What became of a request: POSTED now, REPLAYED from an earlier request with this key, or REUSED
-- when the key belongs to another payload. response is the answer, NULL for REUSED.
CREATE TYPE transfers.outcome AS (
    verdict text,
    response bytea
);
ALTER TYPE transfers.outcome OWNER TO transfers_owner;

-- One request of a group: the arguments of transfers.post_book_transfer.
CREATE TYPE transfers.request AS (
    customer_id uuid,
    idempotency_key text,
    fingerprint bytea,
    transfer_id uuid,
    account_id uuid,
    destination_customer_id uuid,
    destination_account_id uuid,
    currency text,
    amount bigint,
    memo text,
    create_time timestamp with time zone,
    response bytea,
    event_id uuid,
    event_payload bytea,
    traceparent text
);
ALTER TYPE transfers.request OWNER TO transfers_owner;

GRANT USAGE ON SCHEMA transfers TO bp_transfers;
GRANT USAGE ON SCHEMA transfers TO bp_judge;

ALTER DEFAULT PRIVILEGES FOR ROLE transfers_owner IN SCHEMA transfers GRANT SELECT ON TABLES TO
    bp_judge;

-- Posted transfers, never changed. response is the answer that the caller got, kept for replays.
-- Monthly partitions: transfer_id is a UUIDv7 in the shard of the debited account.
CREATE TABLE transfers.book_transfer (
    shard smallint NOT NULL,
    transfer_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_id uuid NOT NULL,
    destination_customer_id uuid NOT NULL,
    destination_account_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    memo text NOT NULL,
    create_time timestamp with time zone NOT NULL,
    response bytea NOT NULL,
    CONSTRAINT book_transfer_amount_check CHECK ((amount > 0)),
    CONSTRAINT book_transfer_of_two_accounts CHECK ((account_id <> destination_account_id))
)
PARTITION BY RANGE (transfer_id);
ALTER TABLE transfers.book_transfer OWNER TO transfers_owner;

ALTER TABLE ONLY transfers.book_transfer
    ADD CONSTRAINT book_transfer_pkey PRIMARY KEY (shard, transfer_id);

-- For what an account paid, newest first, page by page.
CREATE INDEX book_transfer_by_account ON ONLY transfers.book_transfer USING btree (shard,
    account_id, transfer_id DESC);

GRANT SELECT ON TABLE transfers.book_transfer TO bp_judge;
GRANT SELECT ON TABLE transfers.book_transfer TO bp_transfers;

-- Book transfers that a control of the bank declined (frozen account, largest amount), one row for
-- each order and reason, up to a limit for each customer and hour. Monthly partitions: decline_id
-- is a UUIDv7. They are dropped after five years, as long as 31 CFR 1010.430 asks banks to keep
-- records.
CREATE TABLE transfers.declined_order (
    decline_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_id uuid NOT NULL,
    destination_account_id uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    order_id uuid NOT NULL,
    correlation_id text NOT NULL,
    decline_time timestamp with time zone NOT NULL,
    CONSTRAINT declined_order_amount_check CHECK ((amount > 0))
)
PARTITION BY RANGE (decline_id);
ALTER TABLE transfers.declined_order OWNER TO transfers_owner;

ALTER TABLE ONLY transfers.declined_order
    ADD CONSTRAINT declined_order_pkey PRIMARY KEY (decline_id);

-- For the declined orders of a customer, by time.
CREATE INDEX declined_order_by_customer ON ONLY transfers.declined_order USING btree (customer_id,
    decline_id);

-- For the record of an order that is repeated.
CREATE INDEX declined_order_by_order ON ONLY transfers.declined_order USING btree (customer_id,
    order_id, reason);

GRANT SELECT ON TABLE transfers.declined_order TO bp_judge;

-- How far the keys are forgotten: up to the book transfer `through` of each shard.
CREATE TABLE transfers.keys_forgotten (
    shard smallint NOT NULL,
    through uuid NOT NULL
);
ALTER TABLE transfers.keys_forgotten OWNER TO transfers_owner;

ALTER TABLE ONLY transfers.keys_forgotten
    ADD CONSTRAINT keys_forgotten_pkey PRIMARY KEY (shard);

GRANT SELECT ON TABLE transfers.keys_forgotten TO bp_judge;

-- The accounts of other customers that a customer has paid. A row is never changed or removed. Two
-- first payments at the same time leave two rows, so that neither waits for the other.
CREATE TABLE transfers.known_beneficiary (
    shard smallint NOT NULL,
    customer_id uuid NOT NULL,
    account_id uuid NOT NULL,
    transfer_id uuid NOT NULL
);
ALTER TABLE transfers.known_beneficiary OWNER TO transfers_owner;

ALTER TABLE ONLY transfers.known_beneficiary
    ADD CONSTRAINT known_beneficiary_pkey PRIMARY KEY (shard, customer_id, account_id, transfer_id);

GRANT SELECT ON TABLE transfers.known_beneficiary TO bp_judge;

-- functions/decline_group.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.decline_group(transfers.decline_row[], integer) TO bp_transfers;

-- functions/drop_old_declines.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.drop_old_declines() TO bp_transfers;

-- functions/ensure_partitions.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.ensure_partitions(integer, timestamp with time zone) TO
    bp_transfers;

-- functions/forget_keys.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.forget_keys(integer) TO bp_transfers;

-- functions/known_beneficiaries.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.known_beneficiaries(uuid[], uuid[]) TO bp_transfers;

-- functions/post_book_transfer.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.post_book_transfer(uuid, text, bytea, uuid, uuid, uuid, uuid,
    text, bigint, text, timestamp with time zone, bytea, uuid, bytea, text) TO bp_transfers;

-- functions/post_book_transfers.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.post_book_transfers(transfers.request[]) TO bp_transfers;

-- functions/replay.sql, owned by transfers_owner
GRANT EXECUTE ON FUNCTION transfers.replay(uuid, text, bytea) TO bp_transfers;
