-- migrate:up

-- Who banks here (customer), what they hold (account) and how much is in it (balance).
-- `balance` is a projection of the events: the books are the ledger's, in the Write DB.

CREATE SCHEMA customers;
REVOKE ALL ON SCHEMA customers FROM PUBLIC;
GRANT USAGE ON SCHEMA customers TO bp_customers, bp_judge;

CREATE TABLE customers.customer (
    customer_id  uuid PRIMARY KEY,
    user_name    text NOT NULL UNIQUE CHECK (user_name ~ '^[a-z][a-z0-9._-]{0,62}$'),
    display_name text NOT NULL CHECK (display_name <> ''),
    email        text NOT NULL,
    locale       text NOT NULL CHECK (locale IN ('es', 'en')),
    create_time  timestamptz NOT NULL DEFAULT now()
);

-- An account's id carries the shard of its customer, so that a transfer's rows lie together.
CREATE TABLE customers.account (
    account_id   uuid PRIMARY KEY,
    customer_id  uuid NOT NULL REFERENCES customers.customer,
    account_type text NOT NULL CHECK (account_type IN ('CHECKING', 'SAVINGS')),
    currency     text NOT NULL DEFAULT 'USD' CHECK (currency = 'USD'),
    state        text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'FROZEN', 'CLOSED')),
    create_time  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_in_shard_of_customer CHECK (
        get_byte(uuid_send(account_id), 15) & 63 = get_byte(uuid_send(customer_id), 15) & 63)
);

-- A customer's accounts, page by page, in the order they were opened (ids are time-ordered).
CREATE INDEX account_by_customer ON customers.account (customer_id, account_id);

-- What an account holds as of its position-th posting. No reference to account: an event may
-- arrive before the account does, and must not be lost. Updated in place, so pages keep room.
CREATE TABLE customers.balance (
    account_id uuid PRIMARY KEY,
    currency   text NOT NULL,
    balance    bigint NOT NULL CHECK (balance >= 0),
    position   bigint NOT NULL CHECK (position > 0)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

GRANT SELECT ON customers.customer, customers.account, customers.balance TO bp_customers, bp_judge;
GRANT INSERT, UPDATE ON customers.balance TO bp_customers;

-- migrate:down
DROP SCHEMA customers CASCADE;
